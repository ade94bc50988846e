/** Bodies of POST /v1/messages and what they mean. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageCreateParams } from "@anthropic-ai/sdk/resources";
import { assertHas } from "../../../test/support/facts.ts";
import type { ChatRequest } from "../../chat/index.ts";
import { type MessageOrder, parseMessage } from "./fields.ts";

/** The newest package has no more types for how to sample, but other clients still send it. */
type Body = Partial<MessageCreateParams> & {
  temperature?: number;
  top_p?: number;
  top_k?: number;
};
const TOOL = {
  name: "look",
  description: "Looks.",
  input_schema: { type: "object" as const, properties: {} },
};
const LOOK = {
  name: "look",
  description: "Looks.",
  parameters: TOOL.input_schema,
};
const BASE = {
  model: "shoal-demo",
  max_tokens: 10,
  messages: [{ role: "user", content: "Hi" }],
} satisfies Body;
const HI = { role: "user", content: "Hi" } as const;
const USE = {
  type: "tool_use",
  id: "c1",
  name: "look",
  input: { a: 1 },
} as const;
const CALL = {
  id: "c1",
  type: "function",
  function: { name: "look", arguments: '{"a":1}' },
};
const schema = { type: "object", properties: { a: { type: "number" } } };
const parts = (...texts: string[]): object[] =>
  texts.map((text) => ({ type: "text", text }));

const UNDERSTOOD: [
  what: string,
  body: Body,
  order: object,
  chat: Partial<ChatRequest>,
][] = [
  [
    "the least",
    {},
    { model: "shoal-demo", maxTokens: 10, stop: [], stream: false },
    { messages: [HI], tools: [], toolChoice: "auto", parallelToolCalls: true },
  ],
  ["a stream", { stream: true }, { stream: true }, {}],
  ["no max_tokens", { max_tokens: undefined! }, { maxTokens: undefined }, {}],
  [
    "sampling",
    { temperature: 0.3, top_p: 0.5, top_k: 7, stop_sequences: ["\n\n", "END"] },
    { stop: ["\n\n", "END"] },
    {},
  ],
  [
    "a system text",
    { system: "Be brief." },
    {},
    { messages: [{ role: "system", content: "Be brief." }, HI] },
  ],
  [
    "system blocks, cached",
    {
      system: [
        { type: "text", text: "A" },
        {
          type: "text",
          text: "B",
          cache_control: { type: "ephemeral", ttl: "1h" },
        },
      ],
    },
    {},
    { messages: [{ role: "system", content: parts("A", "B") as never }, HI] },
  ],
  [
    "a line for billing in the system's text, whose checksum changes",
    { system: "x-anthropic-billing-header: cc_version=2.1; cch=a5145;You are" },
    {},
    {
      messages: [
        {
          role: "system",
          content:
            "x-anthropic-billing-header: cc_version=2.1; cch=fffff;You are",
        },
        HI,
      ],
    },
  ],
  [
    "a system message among the others",
    { messages: [HI, { role: "system", content: "Now in French." }] },
    {},
    { messages: [HI, { role: "system", content: "Now in French." }] },
  ],
  [
    "text blocks, one and several",
    {
      messages: [
        { role: "user", content: [{ type: "text", text: "One" }] },
        { role: "assistant", content: "Two" },
        {
          role: "user",
          content: [
            { type: "text", text: "3" },
            { type: "text", text: "4" },
          ],
        },
      ],
    },
    {},
    {
      messages: [
        { role: "user", content: "One" },
        { role: "assistant", content: "Two" },
        { role: "user", content: parts("3", "4") as never },
      ],
    },
  ],
  [
    "a document that is text",
    {
      messages: [
        {
          role: "user",
          content: [
            {
              type: "document",
              source: { type: "text", media_type: "text/plain", data: "D" },
            },
          ],
        },
      ],
    },
    {},
    { messages: [{ role: "user", content: "D" }] },
  ],
  [
    "two turns of the same role are one",
    { messages: [HI, { role: "user", content: "there" }] },
    {},
    { messages: [{ role: "user", content: parts("Hi", "there") as never }] },
  ],
  [
    "an assistant's beginning is gone on with",
    { messages: [HI, { role: "assistant", content: "I" }] },
    {},
    { messages: [HI, { role: "assistant", content: "I" }], continueLast: true },
  ],
  [
    "thoughts, text and a call of the assistant, then the result and a word",
    {
      messages: [
        HI,
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "Hm", signature: "" },
            { type: "redacted_thinking", data: "x" },
            { type: "text", text: "I look." },
            USE,
          ],
        },
        {
          role: "user",
          content: [
            {
              type: "tool_result",
              tool_use_id: "c1",
              content: "seen",
              is_error: false,
            },
            { type: "text", text: "And?" },
          ],
        },
      ],
    },
    {},
    {
      messages: [
        HI,
        {
          role: "assistant",
          content: "I look.",
          reasoning_content: "Hm",
          tool_calls: [CALL],
        },
        { role: "tool", tool_call_id: "c1", content: "seen" },
        { role: "user", content: "And?" },
      ],
    },
  ],
  [
    "a call alone, and results as blocks and as nothing",
    {
      messages: [
        HI,
        { role: "assistant", content: [USE] },
        {
          role: "user",
          content: [
            {
              type: "tool_result",
              tool_use_id: "c1",
              content: [{ type: "text", text: "a" }],
            },
            { type: "tool_result", tool_use_id: "c2" },
          ],
        },
      ],
    },
    {},
    {
      messages: [
        HI,
        { role: "assistant", content: "", tool_calls: [CALL] },
        { role: "tool", tool_call_id: "c1", content: "a" },
        { role: "tool", tool_call_id: "c2", content: "" },
      ],
    },
  ],
  [
    "an assistant's turn in two messages",
    {
      messages: [
        HI,
        { role: "assistant", content: "I look." },
        { role: "assistant", content: [USE] },
      ],
    },
    {},
    {
      messages: [
        HI,
        { role: "assistant", content: "I look.", tool_calls: [CALL] },
      ],
    },
  ],
  ["tools", { tools: [TOOL] }, {}, { tools: [LOOK], toolChoice: "auto" }],
  [
    "a custom tool, strict, cached, loaded early",
    {
      tools: [
        {
          ...TOOL,
          type: "custom",
          strict: true,
          eager_input_streaming: true,
          cache_control: { type: "ephemeral" },
        },
      ],
    },
    {},
    { tools: [{ ...LOOK, strict: true }] },
  ],
  [
    "any tool",
    { tools: [TOOL], tool_choice: { type: "any" } },
    {},
    { toolChoice: "required" },
  ],
  [
    "one tool by name",
    { tools: [TOOL], tool_choice: { type: "tool", name: "look" } },
    {},
    { toolChoice: { name: "look" } },
  ],
  [
    "no tool",
    { tools: [TOOL], tool_choice: { type: "none" } },
    {},
    { toolChoice: "none", tools: [LOOK] },
  ],
  [
    "one call at a time",
    {
      tools: [TOOL],
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
    },
    {},
    { toolChoice: "auto", parallelToolCalls: false },
  ],
  [
    "thinking",
    { thinking: { type: "enabled", budget_tokens: 2000 } },
    { showsThinking: true },
    { enableThinking: true },
  ],
  [
    "no thinking",
    { thinking: { type: "disabled" } },
    {},
    { enableThinking: false },
  ],
  [
    "thinking as the model likes, unseen",
    { thinking: { type: "adaptive", display: "omitted" } },
    { showsThinking: false },
    { enableThinking: undefined },
  ],
  [
    "an effort",
    { output_config: { effort: "low" } },
    {},
    { reasoningEffort: "low" },
  ],
  [
    "more effort than templates know",
    { output_config: { effort: "max" } },
    {},
    { reasoningEffort: "high" },
  ],
  [
    "structured output",
    { output_config: { format: { type: "json_schema", schema } } },
    {},
    { hold: { kind: "schema", schema } },
  ],
  [
    "what only Anthropic's servers heed",
    {
      metadata: { user_id: "u" },
      service_tier: "auto",
      inference_geo: "eu",
      container: null,
      cache_control: { type: "ephemeral" },
    },
    {},
    {},
  ],
];

for (const [what, body, order, chat] of UNDERSTOOD)
  test(`understands ${what}`, () => {
    const context = { strict: true, onUnknown: () => {} };
    const parsed = parseMessage({ ...BASE, ...body }, context);
    assertHas(parsed, order);
    const [prompt] = parsed.prompts;
    assert.equal(prompt.kind, "chat");
    assertHas(prompt.kind === "chat" ? prompt.chat : {}, chat);
  });

test("sampling is the engine's, with what the request says", () => {
  const body = { ...BASE, temperature: 0, top_p: 0.5, top_k: 7 };
  const { sampling }: MessageOrder = parseMessage(body, {
    strict: true,
    onUnknown: () => {},
  });
  assertHas(sampling, {
    temperature: 0,
    topP: 0.5,
    topK: 7,
    minP: 0.05,
    seed: undefined,
  });
});
