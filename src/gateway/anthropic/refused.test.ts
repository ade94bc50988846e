/** Bodies of POST /v1/messages that are refused, each with the sentence that says why. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcess } from "../../../test/fakes/gateway.ts";

const TOOL = {
  name: "look",
  description: "Looks.",
  input_schema: { type: "object" as const, properties: {} },
};
const BASE = {
  model: "shoal-demo",
  max_tokens: 10,
  messages: [{ role: "user", content: "Hi" }],
};
const IMAGE = { type: "image", source: { type: "url", url: "https://x" } };
const user = (...content: object[]): object => ({
  messages: [{ role: "user", content }],
});

const REFUSED: [what: string, body: unknown, message: string | RegExp][] = [
  [
    "no messages",
    { messages: undefined },
    "`messages` is missing: it must be a list of messages",
  ],
  [
    "an empty list",
    { messages: [] },
    "`messages` must have at least one message, got an empty list",
  ],
  [
    "another role",
    { messages: [{ role: "tool", content: "" }] },
    '`messages[0].role` must be "user", "assistant" or "system", got "tool"',
  ],
  [
    "no content",
    { messages: [{ role: "user" }] },
    "`messages[0].content` is missing: it must be a string or a list of blocks",
  ],
  [
    "an image",
    user(IMAGE),
    '`messages[0].content[0].type` must be "text", "document", "tool_result": models read only text here, got "image"',
  ],
  [
    "an image in a result",
    user({ type: "tool_result", tool_use_id: "a", content: [IMAGE] }),
    /^`messages\[0\]\.content\[0\]\.content\[0\]\.type` must be "text", "document": .*, got "image"$/,
  ],
  [
    "a PDF",
    user({ type: "document", source: { type: "base64", data: "" } }),
    '`messages[0].content[0].source.type` must be "text", the only kind of document supported, got "base64"',
  ],
  [
    "a tool of Anthropic's",
    { tools: [{ type: "web_search_20250305", name: "web_search" }] },
    '`tools[0].type` must be "custom": there are no tools of Anthropic\'s own here, got "web_search_20250305"',
  ],
  [
    "a tool without a schema",
    { tools: [{ name: "look" }] },
    "`tools[0].input_schema` is missing: it must be an object",
  ],
  [
    "any tool of none",
    { tool_choice: { type: "any" } },
    "`tool_choice` needs `tools` to choose from",
  ],
  [
    "a tool that is not there",
    { tools: [TOOL], tool_choice: { type: "tool", name: "hear" } },
    "`tool_choice.name` must be the name of one of `tools`",
  ],
  [
    "another choice",
    { tool_choice: { type: "all" } },
    '`tool_choice.type` must be "auto", "any", "tool" or "none", got "all"',
  ],
  [
    "another kind of thinking",
    { thinking: { type: "much" } },
    /^`thinking\.type` must be "enabled".*got "much"$/,
  ],
  [
    "another format",
    { output_config: { format: { type: "xml" } } },
    '`output_config.format.type` must be "json_schema", got "xml"',
  ],
  [
    "no tokens",
    { max_tokens: 0 },
    "`max_tokens` must be a whole number of at least 1, got 0",
  ],
  [
    "heat",
    { temperature: 101 },
    "`temperature` must be between 0 and 100, got 101",
  ],
  [
    "an empty stop",
    { stop_sequences: [""] },
    "`stop_sequences[0]` must have 1 to 256 characters, got an empty string",
  ],
  [
    "17 stops",
    { stop_sequences: Array(17).fill("x") },
    "`stop_sequences` must have at most 16 strings, got a list of 17",
  ],
  [
    "a stream by word",
    { stream: "yes" },
    "`stream` must be true or false, got a string",
  ],
];

for (const [what, body, message] of REFUSED)
  test(`refuses ${what}, in Anthropic's form`, async () => {
    const { post, backend } = inProcess();
    const response = await post("/v1/messages", {
      ...BASE,
      ...(body as object),
    });
    assert.equal(response.statusCode, 400);
    const {
      type,
      error,
      request_id: id,
    } = response.json<{
      type: string;
      error: { type: string; message: string };
      request_id: string;
    }>();
    assert.deepEqual([type, error.type], ["error", "invalid_request_error"]);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    assert.equal(response.headers["request-id"], id);
    assert.equal(backend.requests.length, 0);
  });

test("an unknown field is told once, and refused only if that is wanted", async () => {
  const body = { ...BASE, shiny: true, dull: null };
  const lenient = inProcess();
  for (let i = 0; i < 2; i++)
    assert.equal((await lenient.post("/v1/messages", body)).statusCode, 200);
  const told = lenient.story.told.filter(
    ({ fields }) => fields.field === "shiny",
  );
  assert.equal(told.length, 1);
  const strict = await inProcess({ strict: true }).post("/v1/messages", body);
  assert.equal(strict.statusCode, 400);
  assert.match(strict.body, /unknown parameter `shiny`/);
});

test("bodies that are no object", async () => {
  const { post } = inProcess();
  for (const body of ["", "[]", "{", "null", '"x"'])
    assert.equal((await post("/v1/messages", body)).statusCode, 400, body);
});
