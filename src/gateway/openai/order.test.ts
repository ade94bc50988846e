/** The meaning of accepted requests. (Refused ones: bodies.test.ts.) */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHAT, inProcess } from "../../../test/fakes/gateway.ts";

/** What no parameter asks for: `common_params_sampling` in llama.cpp's common/common.h at v0.5.0. */
const LLAMA_DEFAULTS = {
  typicalP: 1,
  topNSigma: -1,
  dryMultiplier: 0,
  dryBase: 1.75,
  dryAllowedLength: 2,
  dryPenaltyLastN: -1,
  drySequenceBreakers: ["\n", ":", '"', "*"],
  xtcProbability: 0,
  xtcThreshold: 0.1,
  dynatempRange: 0,
  dynatempExponent: 1,
  mirostat: 0,
  mirostatTau: 5,
  mirostatEta: 0.1,
  logprobs: -1,
  logprobsAfterSampling: false,
  samplers: [
    "penalties",
    "dry",
    "top_n_sigma",
    "top_k",
    "typ_p",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
  ],
};

const COMPLETION = { model: "shoal-demo", prompt: "Once" };

test("parameters with default values, and null, are accepted", async () => {
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
    ...LLAMA_DEFAULTS,
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
    ...LLAMA_DEFAULTS,
  });
});

const SEEDS: [given: number | string, used: number][] = [
  [0, 0],
  [2 ** 32, 0],
  [2 ** 32 + 5, 5],
  [-2, 2 ** 32 - 2],
  [-1, 77],
  // Past 2^53 each digit counts: clients draw 63 bits.
  ["9223372036854775807", 2 ** 32 - 1],
  ["4611686018427387909", 5],
  ["4611686018427387910", 6],
  ["-9223372036854775808", 0],
  ["18446744073709551615", 2 ** 32 - 1],
];
for (const [given, used] of SEEDS) {
  test(`seed ${given} is the engine's seed ${used}`, async () => {
    const { post, backend } = inProcess({ randomSeed: () => 77 });
    const body = JSON.stringify(COMPLETION).replace(
      "{",
      `{"metadata":{"text":"\\"seed\\": 1"},"seed" : ${given},`,
    );
    assert.equal((await post("/v1/completions", body)).statusCode, 200);
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
    "a chat's default length is what the context leaves",
    "/v1/chat/completions",
    CHAT,
    100 - 28,
  ],
  [
    "a completion's default length is OpenAI's",
    "/v1/completions",
    COMPLETION,
    16,
  ],
  [
    "max_completion_tokens goes before max_tokens",
    "/v1/chat/completions",
    { ...CHAT, max_tokens: 5, max_completion_tokens: 6 },
    6,
  ],
  [
    "a longer length is cut to what the context leaves",
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

/** What llama.cpp's server and its clients say for "no limit", "off" and "none". */
const AS_PEERS: [what: string, fields: object, expected: object][] = [
  [
    "max_tokens -1 is as many as the context leaves",
    { max_tokens: -1 },
    { maxTokens: 100 - 28 },
  ],
  [
    "max_completion_tokens -1 goes before max_tokens",
    { max_tokens: 5, max_completion_tokens: -1 },
    { maxTokens: 100 - 28 },
  ],
  ["top_k -1 draws among all tokens", { top_k: -1 }, { sampling: { topK: 0 } }],
  [
    "repeat_last_n -1 is the whole context",
    { repeat_last_n: -1 },
    { sampling: { repeatLastN: 100 } },
  ],
  [
    "repeat_last_n beyond the context is the whole context",
    { repeat_last_n: 4096 },
    { sampling: { repeatLastN: 100 } },
  ],
];
for (const [what, fields, expected] of AS_PEERS) {
  test(what, async () => {
    const { post, backend } = inProcess();
    const response = await post("/v1/chat/completions", { ...CHAT, ...fields });
    assert.equal(response.statusCode, 200, response.body);
    assert.partialDeepStrictEqual(backend.requests[0], expected);
  });
}

test("a completion without its own limit continues to the end of the context", async () => {
  const { post, backend } = inProcess();
  await post("/v1/completions", { ...COMPLETION, max_tokens: -1 });
  assert.equal(backend.requests[0]?.maxTokens, 100 - 5);
});

for (const stop of ["", [""], [], ["", " there"]]) {
  test(`stop ${JSON.stringify(stop)}: an empty string stops nothing`, async () => {
    const { post } = inProcess();
    const response = await post("/v1/completions", { ...COMPLETION, stop });
    assert.equal(
      response.json<{ choices: { text: string }[] }>().choices[0]?.text,
      stop.length === 2 ? "Hello" : "Hello there.",
    );
  });
}

for (const said of [{ content: null }, {}, { content: "" }]) {
  test(`an assistant's turn may hold ${JSON.stringify(said)}`, async () => {
    const { post, backend } = inProcess();
    const response = await post("/v1/chat/completions", {
      ...CHAT,
      messages: [
        ...CHAT.messages,
        { role: "assistant", ...said },
        { role: "user", content: "So?" },
      ],
    });
    assert.equal(response.statusCode, 200, response.body);
    assert.equal(
      backend.lastPrompt,
      "<|user|>Hi</s><|assistant|></s><|user|>So?</s><|assistant|>",
    );
  });
}

test("any key may be in metadata, and none becomes a prototype", async () => {
  const { post } = inProcess();
  const metadata =
    '{"__proto__":{"stream":true},"constructor":{"prototype":{}}}';
  const response = await post(
    "/v1/chat/completions",
    JSON.stringify(CHAT).replace("{", `\uFEFF{"metadata":${metadata},`),
  );
  assert.equal(response.statusCode, 200, response.body);
  assert.match(response.headers["content-type"] as string, /json/);
  assert.equal(({} as { stream?: boolean }).stream, undefined);
  const own = await post(
    "/v1/chat/completions",
    JSON.stringify(CHAT).replace("{", '{"__proto__":{"stream":true},'),
  );
  assert.equal(own.statusCode, 200);
  assert.match(own.headers["content-type"] as string, /json/);
});

const PROMPTS: [what: string, prompt: unknown, tokens: number[]][] = [
  ["a string, encoded with BOS", "Hi", [0, 72, 105]],
  ["token ids, taken unchanged", [72, 105, 256], [72, 105, 256]],
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

test("a chat passes through the model's template; parts of a content are lines", async () => {
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

test("documents, thinking and other variables reach the template", async () => {
  const { post, backend } = inProcess();
  backend.chatTemplate =
    "{{ enable_thinking }} {{ effort }} {{ messages|length }}{{ documents is defined }}";
  await post("/v1/chat/completions", {
    ...CHAT,
    enable_thinking: false,
    chat_template_kwargs: { effort: "high", messages: [] },
  });
  assert.equal(backend.lastPrompt, "False high 1False");
});

test("a model's template for documents answers with documents", async () => {
  const { post, backend } = inProcess();
  backend.namedTemplates = {
    rag: "{% for d in documents %}{{ d.title }}: {{ d.text }};{% endfor %}",
  };
  await post("/v1/chat/completions", {
    ...CHAT,
    documents: [
      { title: "A", text: "alpha" },
      { title: "B", text: "beta" },
    ],
  });
  assert.equal(backend.lastPrompt, "A: alpha;B: beta;");
});

test("a document nested beyond all measure is refused by the template's code", async () => {
  const { post } = inProcess();
  const deep = `${"[".repeat(5000)}${"]".repeat(5000)}`;
  const body = JSON.stringify({ ...CHAT, documents: [{ text: 0 }] });
  const reply = await post("/v1/chat/completions", body.replace("0", deep));
  assert.equal(reply.statusCode, 400);
  assert.match(reply.body, /TEMPLATE_FAILED|nested too deep/);
});
