import assert from "node:assert/strict";
import { test } from "node:test";
import { CHAT, inProcess } from "../../../test/fakes/gateway.ts";

const COMPLETION = { model: "shoal-demo", prompt: "Once" };
const chat = (fields: object): object => ({ ...CHAT, ...fields });
const message = (fields: object): object => ({
  ...CHAT,
  messages: [CHAT.messages[0], fields],
});

/** [body, the field named in `param`, the whole message]. */
const REFUSED_CHATS: [object | string, string | null, string][] = [
  ["{", null, "the request's body is not valid JSON"],
  ["[]", null, "the request's body must be a JSON object, got an empty list"],
  ["7", null, "the request's body must be a JSON object, got 7"],
  [
    { ...CHAT, model: undefined },
    "model",
    "`model` is missing: it must be the name of a model",
  ],
  [chat({ model: 3 }), "model", "`model` must be the name of a model, got 3"],
  [
    { model: "shoal-demo" },
    "messages",
    "`messages` is missing: it must be a list of messages",
  ],
  [
    chat({ messages: [] }),
    "messages",
    "`messages` must have at least one message, got an empty list",
  ],
  [
    chat({ messages: Array(2049).fill(CHAT.messages[0]) }),
    "messages",
    "`messages` must have at most 2048 messages, got a list of 2049",
  ],
  [
    message({ role: "tool", content: "x" }),
    "messages[1].role",
    '`messages[1].role` must be "system", "developer", "user" or "assistant", got "tool"',
  ],
  [
    message({ role: "user" }),
    "messages[1].content",
    "`messages[1].content` is missing: it must be a string or a list of text parts",
  ],
  [
    message({ role: "user", content: 5 }),
    "messages[1].content",
    "`messages[1].content` must be a string or a list of text parts, got 5",
  ],
  [
    message({ role: "user", content: [{ type: "image_url", image_url: {} }] }),
    "messages[1].content[0].type",
    '`messages[1].content[0].type` must be "text", the only kind of part supported, got "image_url"',
  ],
  [
    message({ role: "assistant", content: "x", tool_calls: [{}] }),
    "messages[1].tool_calls",
    "`messages[1].tool_calls` must be empty: tool calling is not implemented, got a list of 1",
  ],
  [
    chat({ temperature: 9 }),
    "temperature",
    "`temperature` must be between 0 and 2, got 9",
  ],
  [
    chat({ temperature: "hot" }),
    "temperature",
    "`temperature` must be between 0 and 2, got a string",
  ],
  [chat({ top_p: -0.1 }), "top_p", "`top_p` must be between 0 and 1, got -0.1"],
  [
    chat({ top_k: 1.5 }),
    "top_k",
    "`top_k` must be a whole number between 0 and 1048576, got 1.5",
  ],
  [chat({ min_p: 2 }), "min_p", "`min_p` must be between 0 and 1, got 2"],
  [
    chat({ repeat_penalty: 0 }),
    "repeat_penalty",
    "`repeat_penalty` must be between 0.01 and 10, got 0",
  ],
  [
    chat({ presence_penalty: 3 }),
    "presence_penalty",
    "`presence_penalty` must be between -2 and 2, got 3",
  ],
  [
    chat({ frequency_penalty: -3 }),
    "frequency_penalty",
    "`frequency_penalty` must be between -2 and 2, got -3",
  ],
  [
    chat({ max_tokens: 0 }),
    "max_tokens",
    "`max_tokens` must be a whole number of at least 1, or -1 for no limit, got 0",
  ],
  [
    chat({ max_completion_tokens: -2 }),
    "max_completion_tokens",
    "`max_completion_tokens` must be a whole number of at least 1, or -1 for no limit, got -2",
  ],
  [
    chat({ seed: 1.5 }),
    "seed",
    "`seed` must be an integer of at most 64 bits, got 1.5",
  ],
  [
    JSON.stringify(chat({ seed: 0 })).replace("0", "18446744073709551616"),
    "seed",
    "`seed` must be an integer of at most 64 bits, got 18446744073709551616",
  ],
  [
    chat({ repeat_last_n: -2 }),
    "repeat_last_n",
    "`repeat_last_n` must be a whole number between -1 and 1048576, got -2",
  ],
  [
    message({ role: "user", content: null }),
    "messages[1].content",
    "`messages[1].content` must be a string or a list of text parts, got null",
  ],
  [
    chat({ chat_template_kwargs: [] }),
    "chat_template_kwargs",
    "`chat_template_kwargs` must be an object, got an empty list",
  ],
  [
    chat({
      chat_template_kwargs: Object.fromEntries(
        Array.from({ length: 65 }, (_, i) => [`a${i}`, 1]),
      ),
    }),
    "chat_template_kwargs",
    "`chat_template_kwargs` must have at most 64 fields, got an object",
  ],
  [
    chat({ documents: ["a"] }),
    "documents[0]",
    "`documents[0]` must be an object, got a string",
  ],
  [
    chat({ enable_thinking: "no" }),
    "enable_thinking",
    "`enable_thinking` must be true or false, got a string",
  ],
  [
    chat({ stream: "yes" }),
    "stream",
    "`stream` must be true or false, got a string",
  ],
  [
    chat({ stream_options: true }),
    "stream_options",
    "`stream_options` must be an object, got true",
  ],
  [
    chat({ stop: ["a", "b", "c", "d", "e"] }),
    "stop",
    "`stop` must have at most 4 strings, got a list of 5",
  ],
  [
    chat({ stop: ["\ud83d"] }),
    "stop[0]",
    "`stop[0]` must be valid Unicode, got a string",
  ],
  [
    chat({ stop: 7 }),
    "stop",
    "`stop` must be a string or a list of strings, got 7",
  ],
  [
    chat({ logit_bias: { 5: 101 } }),
    "logit_bias.5",
    "`logit_bias.5` must be between -100 and 100, got 101",
  ],
  [
    chat({ logit_bias: { word: 1 } }),
    "logit_bias",
    "`logit_bias` must have token ids as its keys",
  ],
  [
    chat({ logit_bias: { 9999: 1 } }),
    "logit_bias",
    "`logit_bias` has a token the model lacks: 9999",
  ],
  [chat({ n: 17 }), "n", "`n` must be a whole number between 1 and 16, got 17"],
  [
    chat({ tools: [{ type: "function" }] }),
    "tools",
    "`tools` is not supported: tool calling is not implemented",
  ],
  [
    chat({ response_format: { type: "json_object" } }),
    "response_format",
    "`response_format` is not supported: structured output is not implemented",
  ],
  [chat({ logprobs: true }), "logprobs", "`logprobs` is not supported"],
  [
    chat({ modalities: ["text", "audio"] }),
    "modalities",
    "`modalities` is not supported: answers are text",
  ],
  [chat({ temprature: 1 }), "temprature", "unknown parameter `temprature`"],
];

const REFUSED_COMPLETIONS: [object, string, string][] = [
  [
    { model: "shoal-demo" },
    "prompt",
    "`prompt` is missing: it must be a single string or list of token ids; several prompts are not supported",
  ],
  [
    { ...COMPLETION, prompt: ["a", "b"] },
    "prompt",
    "`prompt` must be a single string or list of token ids; several prompts are not supported, got a list of 2",
  ],
  [
    { ...COMPLETION, prompt: [] },
    "prompt",
    "`prompt` must be a single string or list of token ids; several prompts are not supported, got an empty list",
  ],
  [
    { ...COMPLETION, prompt: [1, 320] },
    "prompt",
    "`prompt` has token 320, but the model's tokens are 0 to 319",
  ],
  [
    { ...COMPLETION, best_of: 3 },
    "best_of",
    "`best_of` is not supported: the gateway gives every answer that it computed",
  ],
  [{ ...COMPLETION, echo: true }, "echo", "`echo` is not supported"],
  [{ ...COMPLETION, suffix: "end" }, "suffix", "`suffix` is not supported"],
  [{ ...COMPLETION, logprobs: 3 }, "logprobs", "`logprobs` is not supported"],
];

const CASES = [
  ...REFUSED_CHATS.map((row) => ["/v1/chat/completions", ...row] as const),
  ...REFUSED_COMPLETIONS.map((row) => ["/v1/completions", ...row] as const),
];

for (const [path, body, param, expected] of CASES) {
  test(`400: ${expected}`, async () => {
    const { post, backend } = inProcess();
    const response = await post(path, body);
    assert.equal(response.statusCode, 400);
    const { error } = response.json<{ error: Record<string, unknown> }>();
    assert.equal(error.message, expected);
    assert.equal(error.param, param);
    assert.equal(error.type, "invalid_request_error");
    const unsupported = / is not supported|unknown parameter/.test(expected);
    assert.equal(
      error.code,
      unsupported ? "unsupported_parameter" : "request_invalid",
    );
    assert.equal(backend.requests.length, 0);
  });
}

test("a refusal never quotes what the client wrote", async () => {
  const { post, story } = inProcess();
  for (const body of [
    '{"model":"shoal-demo","prompt":"a secret" oops',
    { ...CHAT, messages: "a secret" },
    {
      ...CHAT,
      messages: [
        { role: "a secret of more than thirty-two letters", content: "" },
      ],
    },
    { ...CHAT, stop: [{ text: "a secret" }] },
  ]) {
    const response = await post("/v1/chat/completions", body);
    assert.equal(response.statusCode, 400);
    assert.doesNotMatch(response.body, /secret/);
  }
  assert.doesNotMatch(JSON.stringify(story.told), /secret/);
});
