/** llama-server's /completion and /infill: prompts in each form, what a reply says of itself, streams, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShoalError } from "../../lib/index.ts";
import { eventsOf, inProcess } from "../../../test/fakes/gateway.ts";
import { sessionStatus } from "../../../test/fakes/session.ts";

const bytes = (text: string): number[] => [...Buffer.from(text)];

test("a prompt is continued, and the answer tells what it took", async () => {
  const { backend, post } = inProcess();
  backend.session = (tokens) => sessionStatus({ tokens, promptTokens: 3 });
  for (const path of ["/completion", "/completions"]) {
    const answer = await post(path, { prompt: "Hi", n_predict: 10 });
    assert.equal(answer.statusCode, 200, answer.body);
    const said = answer.json<Record<string, unknown>>();
    assert.deepEqual(
      [said.content, said.stop, said.stop_type, said.stopping_word],
      ["Hello there.", true, "eos", ""],
    );
    assert.deepEqual(
      [said.tokens_predicted, said.tokens_evaluated, said.tokens],
      [4, 3, []],
    );
    assert.deepEqual([said.prompt, said.truncated], ["Hi", false]);
    const timings = said.timings as Record<string, number>;
    // 2 ms until it had a route, 5 ms more until the first token.
    assert.deepEqual([timings.prompt_n, timings.prompt_ms], [3, 5]);
    const settings = said.generation_settings as Record<string, unknown>;
    assert.deepEqual(
      [settings.n_predict, settings.top_k, settings.repeat_last_n],
      [10, 40, 64],
    );
  }
});

test("a stream has an event for each token, and all facts in the last one", async () => {
  const { post } = inProcess();
  const answer = await post("/completion", { prompt: "Hi", stream: true });
  const events = eventsOf(answer.body) as Record<string, unknown>[];
  assert.deepEqual(
    events.map(({ content, stop, tokens }) => [content, stop, tokens]),
    [
      ["Hello", false, [256]],
      [" there", false, [257]],
      [".", false, [258]],
      ["", true, []],
    ],
  );
  assert.deepEqual(
    [events.at(-1)?.stop_type, events.at(-1)?.tokens_predicted],
    ["eos", 4],
  );
});

test("tokens held back are told with the text that they belong to", async () => {
  const { backend, post } = inProcess();
  backend.script = ["a", "S", "T", "b"];
  const body = { prompt: "Hi", stream: true, stop: ["STOP"] };
  const answer = await post("/completion", body);
  const events = eventsOf(answer.body) as Record<string, unknown>[];
  assert.deepEqual(
    events.flatMap(({ tokens }) => tokens),
    [256, 257, 258, 259],
  );
  assert.equal(events.map(({ content }) => content).join(""), "aSTb");
});

const FORMS: readonly [name: string, prompt: unknown, tokens: number[][]][] = [
  ["a text", "Hi", [[0, ...bytes("Hi")]]],
  ["tokens", [12, 34], [[12, 34]]],
  ["tokens and a text", [12, "Hi", 34], [[12, ...bytes("Hi"), 34]]],
  ["a text and tokens", ["Hi", 34, 35], [[0, ...bytes("Hi"), 34, 35]]],
  ["an object", { prompt_string: "Hi" }, [[0, ...bytes("Hi")]]],
  [
    "two texts",
    ["a", "b"],
    [
      [0, 97],
      [0, 98],
    ],
  ],
  [
    "each form at once",
    ["a", [12], [13, "b"], { prompt_string: "c" }],
    [[0, 97], [12], [13, 98], [0, 99]],
  ],
];

test("prompts come in each of llama-server's forms", async (t) => {
  for (const [name, prompt, tokens] of FORMS)
    await t.test(name, async () => {
      const { backend, post } = inProcess();
      const answer = await post("/completion", { prompt });
      assert.equal(answer.statusCode, 200, answer.body);
      assert.deepEqual(
        backend.requests.map((request) => [...request.tokens]),
        tokens,
      );
      const said = answer.json<unknown>();
      assert.equal(Array.isArray(said) ? said.length : 1, tokens.length);
    });
});

const REFUSED: readonly [name: string, body: unknown, says: RegExp][] = [
  ["no prompt", {}, /`prompt` must be a string, a list/],
  ["an empty list", { prompt: [] }, /not none/],
  ["a negative token", { prompt: [-1] }, /`prompt` must/],
  ["a token that the model lacks", { prompt: [100_000] }, /has token 100000/],
  [
    "pictures",
    { prompt: { prompt_string: "x", multimodal_data: ["aGk="] } },
    /reads text only/,
  ],
  ["too many prompts", { prompt: Array(17).fill("x") }, /at most 16 prompts/],
  [
    "a bias on a text",
    { prompt: "x", logit_bias: [["Hello", 1]] },
    /`logit_bias` must have ids/,
  ],
  [
    "samplers that are no names",
    { prompt: "x", samplers: [7] },
    /`samplers` must be a list of at most 16 names/,
  ],
  [
    "a grammar that is none",
    { prompt: "x", grammar: 7 },
    /`grammar` must be a string/,
  ],
  ["no object", [], /must be a JSON object/],
];

test("errors have llama-server's form", async (t) => {
  for (const [name, body, says] of REFUSED)
    await t.test(name, async () => {
      const { backend, post } = inProcess();
      const answer = await post("/completion", body);
      const { error } = answer.json<{ error: Record<string, unknown> }>();
      assert.deepEqual(
        [answer.statusCode, error.code, error.type],
        [400, 400, "invalid_request_error"],
      );
      assert.match(error.message as string, says);
      assert.equal(backend.requests.length, 0);
    });
  const { backend, post } = inProcess();
  backend.contextLength = 2;
  const full = await post("/completion", { prompt: "Hello" });
  const { error } = full.json<{ error: Record<string, unknown> }>();
  assert.deepEqual(
    [error.type, error.n_prompt_tokens, error.n_ctx],
    ["exceed_context_size_error", 6, 2],
  );
  backend.unready = new ShoalError("SWARM_NOT_READY", "shard 2 is missing");
  const early = await post("/completion", { prompt: "Hello" });
  assert.equal(early.statusCode, 503);
  assert.equal(
    early.json<{ error: { type: string } }>().error.type,
    "unavailable_error",
  );
});

test("how a reply ended is told", async () => {
  const { backend, post } = inProcess();
  const ending = async (body: object): Promise<unknown[]> => {
    const answer = await post("/completion", { prompt: "Hi", ...body });
    const said = answer.json<Record<string, unknown>>();
    return [said.content, said.stop_type, said.stopping_word];
  };
  assert.deepEqual(await ending({}), ["Hello there.", "eos", ""]);
  assert.deepEqual(await ending({ n_predict: 2 }), [
    "Hello there",
    "limit",
    "",
  ]);
  assert.deepEqual(await ending({ stop: ["th"] }), ["Hello ", "word", "th"]);
  assert.deepEqual(await ending({ stop: "th" }), ["Hello ", "word", "th"]);
  assert.deepEqual(await ending({ n_predict: 0 }), ["", "limit", ""]);
  assert.equal(backend.requests.at(-1)?.maxTokens, 1);
  assert.deepEqual(await ending({ max_tokens: 1 }), ["Hello", "limit", ""]);
});

test("an answer has only the fields that are asked for", async () => {
  const { post } = inProcess();
  const fields = ["content", "generation_settings/n_predict", "nothing/here"];
  const body = { prompt: "Hi", n_predict: 9, response_fields: fields };
  const answer = await post("/completion", body);
  assert.deepEqual(answer.json(), {
    content: "Hello there.",
    "generation_settings/n_predict": 9,
  });
});

test("tokens, biases and several choices", async () => {
  const { backend, post } = inProcess();
  const body = {
    prompt: "Hi",
    return_tokens: true,
    n_cmpl: 2,
    seed: 7,
    logit_bias: [
      [5, 1.5],
      [6, false],
      ["7", -2],
    ],
  };
  const answer = await post("/completion", body);
  const said = answer.json<{ index: number; tokens: number[] }[]>();
  assert.deepEqual(
    said.map(({ index, tokens }) => [index, tokens]),
    [
      [0, [256, 257, 258]],
      [1, [256, 257, 258]],
    ],
  );
  assert.deepEqual(
    backend.requests.map(({ sampling }) => sampling.seed),
    [7, 8],
  );
  assert.deepEqual(backend.requests[0]?.sampling.logitBias, [
    [5, 1.5],
    [6, -100],
    [7, -2],
  ]);
});

test("the likeliest tokens are told with each, whole and streamed", async () => {
  const { post } = inProcess();
  interface Told {
    id: number;
    token: string;
    bytes: number[];
    logprob: number;
    top_logprobs: { id: number; token: string }[];
  }
  interface Said {
    completion_probabilities?: Told[];
  }
  const body = { prompt: "Hi", n_probs: 2 };
  const whole = (await post("/completion", body)).json<Said>();
  const told = whole.completion_probabilities ?? [];
  assert.deepEqual(
    told.map(({ id, token }) => [id, token]),
    [
      [256, "Hello"],
      [257, " there"],
      [258, "."],
    ],
  );
  assert.deepEqual(told[0]?.bytes, bytes("Hello"));
  assert.ok(told.every((one) => one.top_logprobs.length === 2));
  const streamed = await post("/completion", { ...body, stream: true });
  const events = eventsOf(streamed.body) as Said[];
  assert.deepEqual(
    events.flatMap((event) => event.completion_probabilities ?? []),
    told,
  );
  const without = await post("/completion", { prompt: "Hi" });
  assert.equal(without.json<Said>().completion_probabilities, undefined);
});

test("probabilities are told after sampling where that is asked for", async () => {
  const { backend, post } = inProcess();
  const body = { prompt: "Hi", n_probs: 2, post_sampling_probs: true };
  const answer = await post("/completion", body);
  const { completion_probabilities: told } = answer.json<{
    completion_probabilities: { prob: number; top_probs: { prob: number }[] }[];
  }>();
  assert.deepEqual(
    told.map(({ prob, top_probs: top }) => [prob, ...top.map((p) => p.prob)]),
    [1, 2, 3].map((n) => [-n / 4, -n / 4, -n / 4 - 1].map(Math.exp)),
  );
  const [{ sampling } = assert.fail()] = backend.requests;
  assert.equal(sampling.logprobsAfterSampling, true);
});

test("samplers have the order that is asked for, and the model's end is ignored", async () => {
  const { backend, post } = inProcess();
  const ordered = async (samplers: unknown): Promise<readonly string[]> => {
    const body = { prompt: "Hi", ignore_eos: true, samplers };
    const answer = await post("/completion", body);
    assert.equal(answer.statusCode, 200, answer.body);
    const settings = answer.json<{ generation_settings: object }>();
    const { sampling } = backend.requests.at(-1)!;
    // The fake's end token.
    assert.deepEqual(sampling.logitBias, [[1, -100]]);
    assert.deepEqual(settings.generation_settings, {
      ...settings.generation_settings,
      ignore_eos: true,
      samplers: sampling.samplers,
    });
    return sampling.samplers;
  };
  const order = ["temperature", "top_k", "typ_p"];
  assert.deepEqual(await ordered(["temp", "top-k", "Typical", "?"]), order);
  assert.deepEqual(await ordered("tk?y"), order);
  assert.deepEqual(await ordered([]), []);
  assert.equal((await ordered(null)).length, 9);
});

test("a grammar or a schema holds the reply", async () => {
  const { backend, post } = inProcess();
  const held = async (body: object): Promise<string | undefined> => {
    const answer = await post("/completion", { prompt: "Hi", ...body });
    assert.equal(answer.statusCode, 200, answer.body);
    return backend.requests.at(-1)?.sampling.grammar?.gbnf;
  };
  const yes = 'root ::= "yes"';
  assert.equal(await held({ grammar: yes }), yes);
  assert.equal(
    await held({ grammar: yes, json_schema: { type: "null" } }),
    yes,
  );
  assert.match((await held({ json_schema: { type: "null" } })) ?? "", /null/);
  assert.equal(await held({ grammar: "" }), undefined);
  const wrong = await post("/completion", { prompt: "Hi", grammar: "root" });
  assert.equal(wrong.statusCode, 400);
});

test("a gap is filled in, where the vocabulary can", async () => {
  const { backend, post } = inProcess();
  const body = { input_prefix: "a(", input_suffix: ")", prompt: "b" };
  const refused = await post("/infill", body);
  assert.equal(refused.statusCode, 400);
  assert.match(refused.body, /cannot fill gaps/);
  backend.infill = { prefix: 7, suffix: 8, middle: 9 };
  assert.equal((await post("/infill", body)).statusCode, 200);
  assert.deepEqual(
    [...backend.requests.at(-1)!.tokens],
    [0, 7, ...bytes("a(b"), 8, ...bytes(")"), 9],
  );
  backend.contextLength = 1000;
  backend.infill = { ...backend.infill, repository: 10, file: 11 };
  const extra = [{ filename: "b.ts", text: "xy" }];
  await post("/infill", { ...body, input_extra: extra });
  assert.deepEqual(
    [...backend.requests.at(-1)!.tokens],
    [
      10,
      ...bytes("myproject\n"),
      11,
      ...bytes("b.ts\nxy"),
      11,
      ...bytes("filename\n"),
      0,
      7,
      ...bytes("a(b"),
      8,
      ...bytes(")"),
      9,
    ],
  );
});

test("of a long file only what is near the gap is shown", async () => {
  const { backend, post } = inProcess();
  backend.infill = { prefix: 7, suffix: 8, middle: 9 };
  const body = { input_prefix: "x".repeat(500), input_suffix: "y".repeat(500) };
  assert.equal((await post("/infill", body)).statusCode, 200);
  const tokens = [...backend.requests[0]!.tokens];
  // The context has 100 tokens: half of it for what is around, three quarters of that before the gap.
  assert.deepEqual(tokens, [
    0,
    7,
    ...bytes("x".repeat(36)),
    8,
    ...bytes("y".repeat(10)),
    9,
  ]);
});
