/** Bodies of POST /v1/responses and what they mean. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResponseCreateParams } from "openai/resources/responses/responses";
import { assertHas } from "../../../test/support/facts.ts";
import { systemClock } from "../../lib/index.ts";
import type { ParseContext } from "../api.ts";
import { parseResponse, type ResponseOrder } from "./fields.ts";
import { ResponseStore } from "./store.ts";

const HI = { role: "user", content: "Hi" };
const schema = { type: "object", properties: { a: { type: "number" } } };
const TOOL = {
  type: "function" as const,
  name: "look",
  description: "Looks.",
  parameters: schema,
  strict: true,
};
const HEAR = { ...TOOL, name: "hear" };
const LOOK = {
  name: "look",
  description: "Looks.",
  parameters: schema,
  strict: true,
};
const CALL = {
  id: "c1",
  type: "function",
  function: { name: "look", arguments: '{"a":1}' },
};
const USE = {
  type: "function_call",
  call_id: "c1",
  name: "look",
  arguments: '{"a":1}',
} as const;
const parts = (...texts: string[]): object[] =>
  texts.map((text) => ({ type: "text", text }));

type Facts = { order?: object; chat?: object; told?: object };
const UNDERSTOOD: [what: string, body: ResponseCreateParams, facts: Facts][] = [
  [
    "a text",
    { model: "shoal-demo", input: "Hi" },
    {
      order: {
        model: "shoal-demo",
        maxTokens: undefined,
        stream: false,
        keeps: true,
      },
      chat: {
        messages: [HI],
        tools: [],
        toolChoice: "auto",
        parallelToolCalls: true,
      },
      told: {
        instructions: null,
        previous_response_id: null,
        text: { format: { type: "text" } },
        tools: [],
        tool_choice: "auto",
      },
    },
  ],
  ["no model", { input: "Hi" }, { order: { model: undefined } }],
  [
    "a stream that is not kept",
    { input: "Hi", stream: true, store: false },
    { order: { stream: true, keeps: false } },
  ],
  [
    "instructions",
    { input: "Hi", instructions: "Be brief." },
    {
      chat: { messages: [{ role: "system", content: "Be brief." }, HI] },
      told: { instructions: "Be brief." },
    },
  ],
  [
    "messages, by word and in parts, of each role",
    {
      input: [
        { role: "developer", content: "Be brief." },
        {
          type: "message",
          role: "user",
          content: [
            { type: "input_text", text: "Hi" },
            { type: "input_text", text: "there" },
          ],
        },
        { role: "assistant", content: "Yes?" },
        { role: "user", content: "Go." },
      ],
    },
    {
      chat: {
        messages: [
          { role: "developer", content: "Be brief." },
          { role: "user", content: parts("Hi", "there") },
          { role: "assistant", content: "Yes?" },
          { role: "user", content: "Go." },
        ],
        continueLast: true,
      },
    },
  ],
  [
    "what the model answered before, as it was given",
    {
      input: [
        { role: "user", content: "Hi" },
        {
          type: "reasoning",
          id: "rs_1",
          summary: [],
          content: [{ type: "reasoning_text", text: "Hm" }],
        },
        {
          type: "message",
          id: "msg_1",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "I look.", annotations: [] }],
        },
        USE,
        { type: "function_call_output", call_id: "c1", output: "seen" },
        {
          type: "message",
          id: "msg_2",
          role: "assistant",
          status: "completed",
          content: [{ type: "refusal", refusal: "No." }],
        },
        { role: "user", content: "And?" },
      ],
    },
    {
      chat: {
        messages: [
          HI,
          {
            role: "assistant",
            content: "I look.",
            reasoning_content: "Hm",
            tool_calls: [CALL],
          },
          { role: "tool", tool_call_id: "c1", content: "seen" },
          { role: "assistant", content: "No." },
          { role: "user", content: "And?" },
        ],
      },
    },
  ],
  [
    "two calls of one turn, and a result in parts",
    {
      input: [
        { role: "user", content: "Hi" },
        USE,
        { ...USE, call_id: "c2" },
        {
          type: "function_call_output",
          call_id: "c1",
          output: [
            { type: "input_text", text: "a" },
            { type: "input_text", text: "b" },
          ],
        },
      ],
    },
    {
      chat: {
        messages: [
          HI,
          {
            role: "assistant",
            content: "",
            tool_calls: [CALL, { ...CALL, id: "c2" }],
          },
          { role: "tool", tool_call_id: "c1", content: "a\nb" },
        ],
      },
    },
  ],
  [
    "thoughts by their summary, and thoughts that are sealed",
    {
      input: [
        { role: "user", content: "Hi" },
        {
          type: "reasoning",
          id: "rs_1",
          summary: [{ type: "summary_text", text: "Hm" }],
        },
        { type: "reasoning", id: "rs_2", summary: [], encrypted_content: "x" },
        { role: "assistant", content: "Yes" },
      ],
    },
    {
      chat: {
        messages: [
          HI,
          { role: "assistant", content: "Yes", reasoning_content: "Hm" },
        ],
      },
    },
  ],
  [
    "an assistant's beginning is gone on with",
    {
      input: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: "I" },
      ],
    },
    {
      chat: {
        messages: [HI, { role: "assistant", content: "I" }],
        continueLast: true,
      },
    },
  ],
  [
    "a function",
    { input: "Hi", tools: [TOOL] },
    { chat: { tools: [LOOK] }, told: { tools: [TOOL] } },
  ],
  [
    "the least of a function",
    {
      input: "Hi",
      tools: [
        { type: "function", name: "look", parameters: null, strict: null },
      ],
    },
    { chat: { tools: [{ name: "look" }] } },
  ],
  [
    "any function",
    { input: "Hi", tools: [TOOL], tool_choice: "required" },
    { chat: { toolChoice: "required" }, told: { tool_choice: "required" } },
  ],
  [
    "none",
    { input: "Hi", tools: [TOOL], tool_choice: "none" },
    { chat: { toolChoice: "none", tools: [LOOK] } },
  ],
  [
    "one by name",
    {
      input: "Hi",
      tools: [TOOL],
      tool_choice: { type: "function", name: "look" },
    },
    {
      chat: { toolChoice: { name: "look" } },
      told: { tool_choice: { type: "function", name: "look" } },
    },
  ],
  [
    "some of them",
    {
      input: "Hi",
      tools: [HEAR, TOOL],
      tool_choice: {
        type: "allowed_tools",
        mode: "required",
        tools: [{ type: "function", name: "look" }],
      },
    },
    {
      chat: { toolChoice: "required", tools: [LOOK] },
      told: { tools: [HEAR, TOOL] },
    },
  ],
  [
    "one call at a time",
    { input: "Hi", tools: [TOOL], parallel_tool_calls: false },
    {
      chat: { parallelToolCalls: false },
      told: { parallel_tool_calls: false },
    },
  ],
  [
    "JSON by a schema",
    {
      input: "Hi",
      text: {
        format: { type: "json_schema", name: "a", schema, strict: true },
      },
    },
    {
      chat: { hold: { kind: "schema", schema } },
      told: {
        text: {
          format: { type: "json_schema", name: "a", schema, strict: true },
        },
      },
    },
  ],
  [
    "any JSON",
    {
      input: "Hi",
      text: { format: { type: "json_object" }, verbosity: "low" },
    },
    {
      chat: { hold: { kind: "json" } },
      told: { text: { format: { type: "json_object" }, verbosity: "low" } },
    },
  ],
  [
    "text",
    { input: "Hi", text: { format: { type: "text" } } },
    { chat: { hold: undefined } },
  ],
  [
    "little thought",
    { input: "Hi", reasoning: { effort: "low", summary: "auto" } },
    {
      chat: { reasoningEffort: "low" },
      told: { reasoning: { effort: "low", summary: "auto" } },
    },
  ],
  [
    "more thought than templates know",
    { input: "Hi", reasoning: { effort: "max" } },
    {
      chat: { reasoningEffort: "high" },
      told: { reasoning: { effort: "max", summary: null } },
    },
  ],
  [
    "a length",
    { input: "Hi", max_output_tokens: 16 },
    { order: { maxTokens: 16 }, told: { max_output_tokens: 16 } },
  ],
  [
    "heat",
    { input: "Hi", temperature: 0, top_p: 0.5 },
    { told: { temperature: 0, top_p: 0.5 } },
  ],
  [
    "metadata",
    { input: "Hi", metadata: { a: "b" } },
    { told: { metadata: { a: "b" } } },
  ],
  [
    "what only OpenAI's servers heed",
    {
      input: "Hi",
      include: ["reasoning.encrypted_content"],
      user: "u",
      safety_identifier: "s",
      prompt_cache_key: "k",
      service_tier: "auto",
      truncation: "auto",
      background: false,
      top_logprobs: 0,
      stream_options: { include_obfuscation: false },
    },
    {},
  ],
];

const STRICT: ParseContext = { strict: true, onUnknown: () => {} };
const parsed = (body: object, context = STRICT): ResponseOrder =>
  parseResponse(body, context, new ResponseStore({ clock: systemClock }), "");

for (const [what, body, { order = {}, chat = {}, told = {} }] of UNDERSTOOD)
  test(`understands ${what}`, () => {
    const understood = parsed(body);
    assertHas(understood, order);
    assertHas(understood.told, told);
    const [prompt] = understood.prompts;
    assertHas(prompt.kind === "chat" ? prompt.chat : {}, chat);
  });

test("tools of other kinds are told of, and left out", () => {
  const told: string[] = [];
  const lenient = {
    strict: false,
    onUnknown: (name: string) => told.push(name),
  };
  const tools = [
    { type: "web_search" },
    TOOL,
    { type: "custom", name: "patch" },
  ];
  const order = parsed({ input: "Hi", tools }, lenient);
  assert.deepEqual(order.told.tools, [TOOL]);
  assert.deepEqual(told, ["tools: web_search", "tools: custom"]);
});
