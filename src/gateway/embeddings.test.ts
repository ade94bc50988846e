/** Embeddings over HTTP: each API's form, bounds and refusals, by the official clients where they have them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { Events } from "../lib/index.ts";
import { inProcess, onLoopback } from "../../test/fakes/gateway.ts";
import { parseKeys } from "./keys/keys-file.ts";
import { Keys } from "./keys/keys.ts";

const model = "shoal-demo";
const KEY = "a-key-of-enough-characters";

/** Numbers without rounding: normalized, each is a half. */
const embedding = ({ length }: Int32Array): Float32Array => {
  const value = length <= 3 ? 2 : 4;
  return Float32Array.of(value, -value, value, value);
};

const UNIT = [0.5, -0.5, 0.5, 0.5];

test("openai's client gets vectors of length 1, in either encoding and of fewer dimensions", async () => {
  await using swarm = await onLoopback();
  swarm.backend.embedding = embedding;
  const openai = new OpenAI({
    baseURL: `${swarm.url}/v1`,
    apiKey: "none",
    maxRetries: 0,
  });
  for (const encoding_format of [undefined, "float", "base64"] as const) {
    const { data, usage, ...answer } = await openai.embeddings.create({
      model,
      input: ["Hi", "Hello"],
      ...(encoding_format && { encoding_format }),
    });
    assert.equal(answer.model, model);
    assert.deepEqual(
      data.map(({ index }) => index),
      [0, 1],
    );
    // Each has a BOS.
    assert.deepEqual(usage, { prompt_tokens: 9, total_tokens: 9 });
    for (const one of data)
      if (encoding_format === "base64") {
        const bytes = Buffer.from(one.embedding as unknown as string, "base64");
        assert.deepEqual(
          [0, 1, 2, 3].map((i) => bytes.readFloatLE(4 * i)),
          UNIT,
        );
      } else assert.deepEqual(one.embedding, UNIT);
  }
  const { data } = await openai.embeddings.create({
    model,
    input: "Hi",
    dimensions: 1,
    encoding_format: "float",
  });
  assert.deepEqual(data[0]?.embedding, [1]);
  assert.ok(swarm.backend.requests.every(({ embeds }) => embeds === true));
  await swarm.backend.generationsEnded(7);
});

test("an input is a text, tokens, or a list of these", async () => {
  const { backend, post } = inProcess();
  backend.embedding = embedding;
  const cases: readonly [input: unknown, prompts: number[]][] = [
    ["Hi", [3]],
    [["Hi"], [3]],
    [[72, 105], [2]],
    [
      [[72], [72, 105]],
      [1, 2],
    ],
    [
      ["Hi", "H"],
      [3, 2],
    ],
  ];
  for (const [input, lengths] of cases) {
    backend.requests.length = 0;
    const answer = await post("/v1/embeddings", { model, input });
    assert.equal(answer.statusCode, 200, answer.body);
    assert.deepEqual(
      backend.requests.map(({ tokens }) => tokens.length),
      lengths,
    );
  }
});

test("what is wrong is refused by the field's name, before anything is computed", async () => {
  const { backend, post } = inProcess();
  backend.embedding = embedding;
  backend.contextLength = 10;
  const cases: readonly [path: string, body: object, message: RegExp][] = [
    ["/v1/embeddings", { model }, /`input` is missing/],
    ["/v1/embeddings", { input: [] }, /`input` must have/],
    ["/v1/embeddings", { input: {} }, /`input` must be/],
    ["/v1/embeddings", { input: [[72], []] }, /`input` must have/],
    [
      "/v1/embeddings",
      { input: Array<string>(2049).fill("x") },
      /at most 2048/,
    ],
    ["/v1/embeddings", { input: "Hi", dimensions: 0 }, /`dimensions` must be/],
    ["/v1/embeddings", { input: "Hi", dimensions: 5 }, /must be at most 4/],
    [
      "/v1/embeddings",
      { input: "Hi", encoding_format: "int8" },
      /`encoding_format` must be/,
    ],
    ["/v1/embeddings", { input: "Hello, world" }, /13 tokens; the context/],
    ["/embedding", {}, /`content` is missing/],
    ["/api/embed", { input: [1] }, /`input/],
    [
      "/api/embed",
      { input: "Hello, world", truncate: false },
      /13 tokens; the context/,
    ],
  ];
  for (const [path, body, message] of cases) {
    const answer = await post(path, body);
    assert.equal(answer.statusCode, 400, `${path}: ${answer.body}`);
    assert.match(answer.body, message);
  }
  assert.equal(backend.requests.length, 0);
});

test("a model without embeddings refuses by name in each API", async () => {
  const { post } = inProcess();
  for (const [path, body] of [
    ["/v1/embeddings", { input: "Hi" }],
    ["/embeddings", { input: "Hi" }],
    ["/embedding", { content: "Hi" }],
    ["/api/embed", { model, input: "Hi" }],
    ["/api/embeddings", { model, prompt: "Hi" }],
  ] as const) {
    const answer = await post(path, body);
    assert.equal(answer.statusCode, 501, path);
    assert.match(answer.body, /shoal-demo writes text and gives no embeddings/);
  }
});

test("llama-server's form is a list of lists, by the norm that is asked for", async () => {
  const { backend, post } = inProcess();
  backend.embedding = embedding;
  for (const [norm, first] of [
    [undefined, UNIT],
    [2, UNIT],
    [-1, [2, -2, 2, 2]],
    [1, [0.25, -0.25, 0.25, 0.25]],
    [0, [32_760, -32_760, 32_760, 32_760]],
  ] as const)
    for (const path of ["/embedding", "/embeddings"]) {
      const body = { content: ["Hi", "H"], embd_normalize: norm };
      const answer = (await post(path, body)).json<
        { index: number; embedding: number[][] }[]
      >();
      assert.deepEqual(
        answer.map(({ index }) => index),
        [0, 1],
      );
      assert.deepEqual(answer[0]?.embedding, [first]);
    }
});

test("Ollama's client gets vectors of length 1, and from the older path as they are", async () => {
  await using swarm = await onLoopback();
  swarm.backend.embedding = embedding;
  const client = new Ollama({ host: swarm.url });
  const both = await client.embed({ model, input: ["Hi", "Hello"] });
  assert.deepEqual(both.embeddings, [UNIT, UNIT]);
  assert.equal(both.prompt_eval_count, 9);
  assert.ok(both.total_duration >= both.load_duration);
  const short = await client.embed({ model, input: "Hi", dimensions: 1 });
  assert.deepEqual(short.embeddings, [[1]]);
  const none = await client.embed({ model, input: [] });
  assert.deepEqual(none.embeddings, []);
  const older = await client.embeddings({ model, prompt: "Hi" });
  assert.deepEqual(older.embedding, [2, -2, 2, 2]);
  const { capabilities } = await client.show({ model });
  assert.ok(capabilities.includes("embedding"));
});

test("a long text is cut for Ollama's clients, and keeps the end that the vocabulary adds", async () => {
  const { backend, post } = inProcess();
  backend.embedding = embedding;
  backend.contextLength = 6;
  await post("/api/embed", { model, input: "Hello, world" });
  assert.deepEqual(
    [...backend.requests[0]!.tokens],
    [0, ...Buffer.from("Hell")],
  );
  backend.endsPrompts = true;
  await post("/api/embed", { model, input: "Hello, world" });
  assert.deepEqual(
    [...backend.requests[1]!.tokens],
    [0, ...Buffer.from("Hel"), 1],
  );
});

test("a key pays for the prompts' tokens, and for no others", async () => {
  // It stands still: on a busy machine a minute's limits would grow meanwhile.
  const clock = { now: () => 0, after: () => () => {} };
  const keys = new Keys({ clock, events: new Events() });
  const entry = { name: "one", key: KEY, tokensPerMinute: 100 };
  keys.replace(parseKeys(JSON.stringify({ keys: [entry] }), "keys"));
  const { backend, app } = inProcess({ keys });
  backend.embedding = embedding;
  const answer = await app.inject({
    method: "POST",
    url: "/v1/embeddings",
    headers: { authorization: `Bearer ${KEY}` },
    payload: { model, input: ["Hi", "Hello"] },
  });
  assert.equal(answer.statusCode, 200, answer.body);
  assert.equal(answer.headers["x-ratelimit-remaining-tokens"], "91");
});

test("one that fails ends the others", async () => {
  const { backend, post } = inProcess();
  backend.embedding = (tokens) => {
    if (tokens.length === 2) return Float32Array.of(NaN); // not the model's length
    return embedding(tokens);
  };
  const answer = await post("/v1/embeddings", { input: ["Hi", "H"] });
  assert.equal(answer.statusCode, 502, answer.body);
  assert.match(answer.body, /no embedding of 4 values/);
});
