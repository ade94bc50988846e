/** What llama-server tells of itself, its vocabulary and its template, as a gateway answers it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcess } from "../../../test/fakes/gateway.ts";
import { sessionStatus } from "../../../test/fakes/session.ts";

test("props tell what is served and by what", async () => {
  const { app } = inProcess();
  const props = (await app.inject("/props")).json<Record<string, unknown>>();
  assert.deepEqual(
    [props.total_slots, props.model_alias, props.bos_token, props.eos_token],
    [4, "shoal-demo", "<s>", "</s>"],
  );
  assert.match(props.chat_template as string, /add_generation_prompt/);
  assert.match(props.build_info as string, /^shoal \d/);
  const defaults = props.default_generation_settings as {
    n_ctx: number;
    params: Record<string, unknown>;
  };
  assert.equal(defaults.n_ctx, 100);
  assert.deepEqual(
    [defaults.params.temperature, defaults.params.top_k, defaults.params.seed],
    [0.8, 40, 4_294_967_295],
  );
});

test("slots and metrics follow the replies that run", async () => {
  const { app, backend, post } = inProcess();
  backend.session = (tokens) => sessionStatus({ tokens, state: "decode" });
  let release = (): void => {};
  const until = new Promise<void>((resolve) => (release = resolve));
  backend.script = ["Hello", { until }, " there"];
  const said = new Promise<void>(
    (resolve) => (backend.onToken = () => resolve()),
  );
  const answer = post("/completion", { prompt: "Hi", temperature: 0.5 });
  await said;
  const slots = async (query = ""): Promise<Record<string, unknown>[]> =>
    (await app.inject(`/slots${query}`)).json();
  const busy = await slots();
  assert.deepEqual(
    busy.map(({ is_processing }) => is_processing),
    [true, false, false, false],
  );
  assert.deepEqual(
    busy.map(({ params }) => (params as { temperature?: number })?.temperature),
    [0.5, undefined, undefined, undefined],
  );
  assert.equal(busy[0]?.n_prompt_tokens, 3);
  assert.doesNotMatch(JSON.stringify(busy), /Hi|Hello/);
  const metrics = async (): Promise<Map<string, number>> => {
    const { body, headers } = await app.inject("/metrics");
    assert.match(
      String(headers["content-type"]),
      /^text\/plain; version=0\.0\.4/,
    );
    return new Map(
      body
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"))
        .map((line) => {
          const [name = "", value] = line.split(" ");
          return [name.replace("llamacpp:", ""), Number(value)];
        }),
    );
  };
  assert.equal((await metrics()).get("requests_processing"), 1);
  release();
  await answer;
  const after = await metrics();
  assert.deepEqual(
    [after.get("requests_processing"), after.get("requests_deferred")],
    [0, 0],
  );
  assert.deepEqual(
    [after.get("prompt_tokens_total"), after.get("tokens_predicted_total")],
    [3, 3],
  );
  // 5 ms from its route to its first token.
  assert.equal(after.get("prompt_seconds_total"), 0.005);
  assert.equal(after.get("prompt_tokens_seconds"), 600);
  assert.equal(after.get("n_tokens_max"), 6);
  assert.equal((await slots())[0]?.is_processing, false);
});

test("a full gateway has no free slot", async () => {
  const { app, backend, post } = inProcess();
  let release = (): void => {};
  backend.script = [
    { until: new Promise<void>((resolve) => (release = resolve)) },
  ];
  const body = { prompt: "Hi", n_cmpl: 4 };
  const answer = post("/completion", body);
  const url = "/slots?fail_on_no_slot=1";
  while (backend.requests.length < 4) await new Promise(setImmediate);
  assert.equal((await app.inject(url)).statusCode, 503);
  release();
  await answer;
  assert.equal((await app.inject(url)).statusCode, 200);
});

test("texts become tokens and tokens texts", async () => {
  const { backend, post } = inProcess();
  backend.script = [new Uint8Array([0xc3])];
  const tokenize = async (body: object): Promise<unknown> =>
    (await post("/tokenize", body)).json();
  assert.deepEqual(await tokenize({ content: "Hi" }), { tokens: [72, 105] });
  assert.deepEqual(await tokenize({ content: "Hi", add_special: true }), {
    tokens: [0, 72, 105],
  });
  assert.deepEqual(await tokenize({ content: ["H", 256], with_pieces: true }), {
    tokens: [
      { id: 72, piece: "H" },
      { id: 256, piece: [0xc3] },
    ],
  });
  assert.deepEqual(await tokenize({ content: "" }), { tokens: [] });
  const back = await post("/detokenize", { tokens: [72, 105] });
  assert.deepEqual(back.json(), { content: "Hi" });
  backend.specialPieces = new Map([[1, Buffer.from("</s>")]]);
  const special = await post("/detokenize", { tokens: [72, 1] });
  assert.deepEqual(special.json(), { content: "H</s>" });
  for (const [path, body] of [
    ["/tokenize", {}],
    ["/tokenize", { content: [-1] }],
    ["/detokenize", { tokens: [99_999] }],
    ["/detokenize", { tokens: "Hi" }],
  ] as const)
    assert.equal((await post(path, body)).statusCode, 400, path);
});

test("a conversation becomes the model's prompt, and no reply is computed", async () => {
  const { backend, post } = inProcess();
  const messages = [{ role: "user", content: "Hi" }];
  const answer = await post("/apply-template", {
    model: "shoal-demo",
    messages,
  });
  assert.equal(answer.statusCode, 200, answer.body);
  assert.deepEqual(answer.json(), { prompt: "<|user|>Hi</s><|assistant|>" });
  assert.equal(backend.requests.length, 0);
});

test("health has two names, and needs no key", async () => {
  const { app } = inProcess({ apiKey: "secret" });
  for (const url of ["/health", "/v1/health"])
    assert.deepEqual((await app.inject(url)).json(), { status: "ok" });
  assert.equal((await app.inject("/props")).statusCode, 401);
});

test("what needs another kind of model, or a slot, is refused by name", async () => {
  const { app, post } = inProcess();
  for (const url of ["/rerank", "/v1/rerank", "/embedding", "/slots/0"]) {
    const answer = await post(url, { content: "Hi" });
    assert.equal(answer.statusCode, 501, url);
    const { error } = answer.json<{ error: { type: string } }>();
    assert.equal(error.type, "not_supported_error");
  }
  assert.deepEqual((await app.inject("/lora-adapters")).json(), []);
});
