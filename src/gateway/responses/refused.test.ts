/** Bodies of POST /v1/responses that are refused, each with its parameter and the sentence that says why. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcess } from "../../../test/fakes/gateway.ts";

const schema = { type: "object", properties: { a: { type: "number" } } };
const TOOL = {
  type: "function" as const,
  name: "look",
  description: "Looks.",
  parameters: schema,
  strict: true,
};
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
