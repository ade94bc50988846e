/** What accepted requests come down to. (What is refused: request.test.ts.) */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHAT, inProcess } from "../../test/fakes/gateway.ts";

const COMPLETION = { model: "shoal-demo", prompt: "Once" };

test("parameters that ask for nothing special, and null, are no reason to refuse", async () => {
  const { post } = inProcess();
  const response = await post("/v1/chat/completions", {
    ...CHAT,
    n: 1,
    tools: [],
    tool_choice: "auto",
    response_format: { type: "text" },
    logprobs: false,
    top_logprobs: null,
    user: "someone",
    store: false,
    metadata: { a: "b" },
    modalities: ["text"],
    temperature: null,
    stop: null,
    stream: null,
    logit_bias: null,
  });
  assert.equal(response.statusCode, 200, response.body);
});

test("sampling parameters reach the generation under their own names, the others as llama.cpp has them", async () => {
  const { post, backend } = inProcess({ randomSeed: () => 77 });
  await post("/v1/chat/completions", CHAT);
  assert.deepEqual(backend.requests[0]?.sampling, {
    temperature: 0.8,
    topK: 40,
    topP: 0.95,
    minP: 0.05,
    repeatPenalty: 1,
    repeatLastN: 64,
    frequencyPenalty: 0,
    presencePenalty: 0,
    seed: 77,
    logitBias: [],
  });
  await post("/v1/chat/completions", {
    ...CHAT,
    temperature: 0,
    top_k: 7,
    top_p: 0.5,
    min_p: 0.1,
    repeat_penalty: 1.1,
    repeat_last_n: 32,
    frequency_penalty: 0.2,
    presence_penalty: -0.3,
    seed: 42,
    logit_bias: { 7: -100, 8: 1.5 },
  });
  assert.deepEqual(backend.requests[1]?.sampling, {
    temperature: 0,
    topK: 7,
    topP: 0.5,
    minP: 0.1,
    repeatPenalty: 1.1,
    repeatLastN: 32,
    frequencyPenalty: 0.2,
    presencePenalty: -0.3,
    seed: 42,
    logitBias: [
      [7, -100],
      [8, 1.5],
    ],
  });
});

const SEEDS: [given: number, used: number][] = [
  [0, 0],
  [2 ** 32, 0],
  [2 ** 32 + 5, 5],
  [-2, 2 ** 32 - 2],
  [-1, 77],
];
for (const [given, used] of SEEDS) {
  test(`seed ${given} is the engine's seed ${used}`, async () => {
    const { post, backend } = inProcess({ randomSeed: () => 77 });
    await post("/v1/completions", { ...COMPLETION, seed: given });
    assert.equal(backend.requests[0]?.sampling.seed, used);
  });
}

const MAX_TOKENS: [
  what: string,
  path: string,
  body: object,
  maxTokens: number,
][] = [
  [
    "a chat's default is what the context leaves",
    "/v1/chat/completions",
    CHAT,
    100 - 28,
  ],
  ["a completion's default is OpenAI's", "/v1/completions", COMPLETION, 16],
  [
    "max_completion_tokens goes before max_tokens",
    "/v1/chat/completions",
    { ...CHAT, max_tokens: 5, max_completion_tokens: 6 },
    6,
  ],
  [
    "more than the context leaves is what it leaves",
    "/v1/completions",
    { ...COMPLETION, max_tokens: 9999 },
    100 - 5,
  ],
];
for (const [what, path, body, maxTokens] of MAX_TOKENS) {
  test(what, async () => {
    const { post, backend } = inProcess();
    assert.equal((await post(path, body)).statusCode, 200);
    assert.equal(backend.requests[0]?.maxTokens, maxTokens);
  });
}

const PROMPTS: [what: string, prompt: unknown, tokens: number[]][] = [
  ["a string, encoded with BOS", "Hi", [0, 72, 105]],
  ["token ids, taken as they are", [72, 105, 256], [72, 105, 256]],
  ["a list of one string", ["Hi"], [0, 72, 105]],
  ["a list of one list of token ids", [[72]], [72]],
];
for (const [what, prompt, tokens] of PROMPTS) {
  test(`a completion's prompt may be ${what}`, async () => {
    const { post, backend } = inProcess();
    await post("/v1/completions", { ...COMPLETION, prompt });
    assert.deepEqual([...(backend.requests[0]?.tokens ?? [])], tokens);
  });
}

test("a chat goes through the model's template; parts of a content are lines", async () => {
  const { post, backend } = inProcess();
  await post("/v1/chat/completions", {
    ...CHAT,
    messages: [
      { role: "developer", content: "Be brief." },
      {
        role: "user",
        name: "ada",
        content: [
          { type: "text", text: "one" },
          { type: "text", text: "two" },
        ],
      },
    ],
  });
  assert.equal(
    backend.lastPrompt,
    "<|system|>Be brief.</s><|user|>one\ntwo</s><|assistant|>",
  );
});

test("a template that writes BOS itself does not double it", async () => {
  const { post, backend } = inProcess();
  backend.chatTemplate = "{{ bos_token }}{{ messages[0].content }}";
  await post("/v1/chat/completions", CHAT);
  assert.deepEqual([...(backend.requests[0]?.tokens ?? [])], [0, 72, 105]);
});
