/** Bodies of POST /v1/responses and what they mean: those that are understood, and those that are refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResponseCreateParams } from "openai/resources/responses/responses";
import { inProcess } from "../../../test/fakes/gateway.ts";
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

/** These fields are equal. */
function assertHas(actual: object, facts: object): void {
  const seen = Object.keys(facts).map((key) => [
    key,
    actual[key as keyof object],
  ]);
  assert.deepEqual(Object.fromEntries(seen), facts);
}

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

const item = (given: object): object => ({ input: [given] });
const KINDS =
  '"message", "function_call", "function_call_output", "reasoning" or "item_reference"';

const REFUSED: [
  what: string,
  body: object,
  param: string,
  message: string | RegExp,
][] = [
  [
    "nothing",
    {},
    "input",
    "`input` is missing: it must be a string or a list of items",
  ],
  ["an empty list", { input: [] }, "input", /is missing/],
  [
    "a number",
    { input: 1 },
    "input",
    "`input` must be a string or a list of items, got 1",
  ],
  [
    "another kind of item",
    item({ type: "computer_call" }),
    "input[0].type",
    `\`input[0].type\` must be ${KINDS}, got "computer_call"`,
  ],
  [
    "an item without a kind",
    item({ content: "x" }),
    "input[0].type",
    /is missing/,
  ],
  [
    "another role",
    item({ role: "tool", content: "x" }),
    "input[0].role",
    /must be "user", "assistant", "system" or "developer", got "tool"$/,
  ],
  [
    "an image",
    item({ role: "user", content: [{ type: "input_image", image_url: "x" }] }),
    "input[0].content[0]",
    /must be an "input_text".*models read only text here, got an object$/,
  ],
  [
    "a call without arguments",
    item({ type: "function_call", call_id: "c", name: "f" }),
    "input[0].arguments",
    /is missing: it must be a string$/,
  ],
  [
    "a response that is not there",
    { input: "Hi", previous_response_id: "resp_x" },
    "previous_response_id",
    '`previous_response_id` cannot be gone on from: "resp_x" is not kept here (any more)',
  ],
  [
    "an item that is not there",
    item({ type: "item_reference", id: "msg_x" }),
    "input",
    '`input` refers to "msg_x", which is not kept here',
  ],
  [
    "a background",
    { input: "Hi", background: true },
    "background",
    "`background` is not supported: a response is computed while its client waits",
  ],
  [
    "a conversation",
    { input: "Hi", conversation: "conv_1" },
    "conversation",
    /go on from `previous_response_id`$/,
  ],
  [
    "a stored prompt",
    { prompt: { id: "p" } },
    "prompt",
    /there are no stored prompts here$/,
  ],
  [
    "a function without a name",
    { input: "Hi", tools: [{ type: "function" }] },
    "tools[0].name",
    /is missing: it must be a name of 1 to 128 characters$/,
  ],
  [
    "any of no tools",
    { input: "Hi", tool_choice: "required" },
    "tool_choice",
    "`tool_choice` needs `tools` to choose from",
  ],
  [
    "a tool that is not there",
    {
      input: "Hi",
      tools: [TOOL],
      tool_choice: { type: "function", name: "hear" },
    },
    "tool_choice",
    /must name one of `tools`$/,
  ],
  [
    "only tools that are not there",
    {
      input: "Hi",
      tools: [TOOL],
      tool_choice: {
        type: "allowed_tools",
        mode: "auto",
        tools: [{ type: "mcp" }],
      },
    },
    "tool_choice",
    /must allow one of `tools`$/,
  ],
  [
    "a choice of OpenAI's tools",
    { input: "Hi", tools: [TOOL], tool_choice: { type: "file_search" } },
    "tool_choice",
    /must be "auto", "none", "required", a function by its name, or allowed_tools/,
  ],
  [
    "another format",
    { input: "Hi", text: { format: { type: "xml" } } },
    "text.format.type",
    /must be "text", "json_object" or "json_schema", got "xml"$/,
  ],
  [
    "another effort",
    { input: "Hi", reasoning: { effort: "much" } },
    "reasoning.effort",
    /must be one of "none", /,
  ],
  [
    "no tokens",
    { input: "Hi", max_output_tokens: 0 },
    "max_output_tokens",
    /must be a whole number of at least 1, got 0$/,
  ],
  [
    "much metadata",
    { input: "Hi", metadata: { a: "x".repeat(513) } },
    "metadata.a",
    /metadata/,
  ],
];

for (const [what, body, param, message] of REFUSED)
  test(`refuses ${what}, in OpenAI's form`, async () => {
    const { post, backend } = inProcess();
    const response = await post("/v1/responses", {
      model: "shoal-demo",
      ...body,
    });
    assert.equal(response.statusCode, 400);
    const { error } = response.json<{
      error: { param: string; message: string; type: string };
    }>();
    assert.deepEqual(
      [error.param, error.type],
      [param, "invalid_request_error"],
    );
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    assert.equal(backend.requests.length, 0);
  });
