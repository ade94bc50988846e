/** The official client against the gateway: what it can parse and throw is what "OpenAI-compatible" means. */
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
} from "openai";
import { ShoalError } from "../../lib/index.ts";
import { onLoopback } from "../../../test/fakes/gateway.ts";
import { thrown } from "../../../test/support/thrown.ts";

const client = (url: string, apiKey = "-"): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const messages = [{ role: "user" as const, content: "Hi" }];
const model = "shoal-demo";

test("chats, whole", async () => {
  await using swarm = await onLoopback();
  const answer = await client(swarm.url).chat.completions.create({
    model,
    messages,
  });
  assert.equal(answer.choices[0]?.message.content, "Hello there.");
  assert.equal(answer.choices[0]?.finish_reason, "stop");
  assert.equal(answer.usage?.completion_tokens, 4);
  assert.match(answer._request_id ?? "", /^[0-9a-f-]{36}$/);
});

test("chats, streamed, by the model's manifest id", async () => {
  await using swarm = await onLoopback();
  const stream = await client(swarm.url).chat.completions.create({
    model: "bafymanifest",
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let finish: string | null | undefined;
  let total: number | undefined;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    total = chunk.usage?.total_tokens ?? total;
    assert.equal(chunk.model, model);
  }
  assert.deepEqual([text, finish, total], ["Hello there.", "stop", 32]);
});

test("chats with the client's stream helper, which checks the order of chunks", async () => {
  await using swarm = await onLoopback();
  const stream = client(swarm.url).chat.completions.stream({ model, messages });
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0]?.message.content, "Hello there.");
});

test("continues a text, whole and streamed", async () => {
  await using swarm = await onLoopback();
  const { completions } = client(swarm.url);
  const whole = await completions.create({ model, prompt: "Once" });
  assert.equal(whole.choices[0]?.text, "Hello there.");
  let text = "";
  for await (const chunk of await completions.create({
    model,
    prompt: "Once",
    stream: true,
  })) {
    text += chunk.choices[0]?.text ?? "";
  }
  assert.equal(text, "Hello there.");
});

test("lists and retrieves the model", async () => {
  await using swarm = await onLoopback();
  const { models } = client(swarm.url);
  const ids = [];
  for await (const found of models.list()) ids.push(found.id);
  assert.deepEqual(ids, [model]);
  assert.equal((await models.retrieve(model)).created, 1_700_000_000);
  assert.equal((await models.retrieve("bafymanifest")).id, model);
  await assert.rejects(models.retrieve("meta/other"), NotFoundError);
});

test("throws the client's own classes, with code and param", async () => {
  await using swarm = await onLoopback({ strict: true });
  const { chat } = client(swarm.url);

  const unknown = await thrown(
    APIError,
    chat.completions.create({ model: "gpt-4", messages }),
  );
  assert.ok(unknown instanceof NotFoundError);
  assert.deepEqual([unknown.code, unknown.param], ["model_not_found", "model"]);
  assert.match(
    unknown.message,
    /no model "gpt-4" is served here; this gateway serves "shoal-demo"/,
  );

  const bad = await thrown(
    APIError,
    chat.completions.create({ model, messages, temperature: -1, top_p: 9 }),
  );
  assert.ok(bad instanceof BadRequestError);
  assert.deepEqual(
    [bad.code, bad.param, bad.type],
    ["request_invalid", "top_p", "invalid_request_error"],
  );

  swarm.backend.contextLength = 10;
  const long = await thrown(
    APIError,
    chat.completions.create({ model, messages, stream: true }),
  );
  assert.ok(long instanceof BadRequestError);
  assert.equal(long.code, "context_length_exceeded");

  swarm.backend.unready = new ShoalError(
    "SWARM_NOT_READY",
    "shard 2 of 4 is missing",
  );
  const unready = await thrown(
    APIError,
    chat.completions.create({ model, messages }),
  );
  assert.ok(unready instanceof InternalServerError);
  assert.equal(unready.status, 503);
  assert.match(unready.message, /shard 2 of 4 is missing/);
});

test("throws in the middle of a stream that breaks, after the text that came", async () => {
  await using swarm = await onLoopback();
  swarm.backend.script = [
    "Hello",
    { throw: new ShoalError("STAGE_LOST", "stage 2 is lost") },
  ];
  let text = "";
  const error = await thrown(
    APIError,
    (async () => {
      const stream = await client(swarm.url).chat.completions.create({
        model,
        messages,
        stream: true,
      });
      for await (const chunk of stream)
        text += chunk.choices[0]?.delta.content ?? "";
    })(),
  );
  assert.equal(text, "Hello");
  assert.equal(error.code, "stage_lost");
});

test("what keeps a stream alive is nothing to the client", async () => {
  await using swarm = await onLoopback({ aliveMs: 5 });
  const slow = new Promise<void>((resolve) => setTimeout(resolve, 50));
  swarm.backend.script = [
    "Hello",
    { until: slow, waitingFor: "shard 1 of 4 (layers 2-3)" },
    " there",
  ];
  const stream = await client(swarm.url).chat.completions.create({
    model,
    messages,
    stream: true,
  });
  let text = "";
  for await (const chunk of stream)
    text += chunk.choices[0]?.delta.content ?? "";
  assert.equal(text, "Hello there");
});

test("a client that gets BUSY retries by itself", async () => {
  await using swarm = await onLoopback();
  swarm.backend.script = [
    {
      throw: new ShoalError("BUSY", "all sessions are taken", {
        retryAfterMs: 1,
      }),
    },
  ];
  const patient = new OpenAI({
    baseURL: `${swarm.url}/v1`,
    apiKey: "-",
    maxRetries: 1,
  });
  const answer = patient.chat.completions.create({ model, messages });
  await swarm.backend.generationsEnded(1);
  swarm.backend.script = ["now"];
  assert.equal((await answer).choices[0]?.message.content, "now");
});

test("an API key is required if one is set", async () => {
  await using swarm = await onLoopback({ apiKey: "sesame" });
  const answer = await client(swarm.url, "sesame").chat.completions.create({
    model,
    messages,
  });
  assert.equal(answer.choices.length, 1);
  const error = await thrown(
    APIError,
    client(swarm.url, "wrong").models.list(),
  );
  assert.ok(error instanceof AuthenticationError);
  assert.equal(error.code, "invalid_api_key");
});

test("a client that aborts frees the generation, streamed or not", async () => {
  await using swarm = await onLoopback();
  const { chat } = client(swarm.url);
  swarm.backend.script = ["Hello", { hang: true }];

  const stream = await chat.completions.create({
    model,
    messages,
    stream: true,
  });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content === "Hello") break; // the client closes its connection
  }
  await swarm.backend.generationsEnded(1);

  const controller = new AbortController();
  const whole = chat.completions.create(
    { model, messages },
    { signal: controller.signal },
  );
  while (swarm.backend.requests.length < 2) await new Promise(setImmediate);
  controller.abort();
  await assert.rejects(whole, APIUserAbortError);
  await swarm.backend.generationsEnded(2);
  assert.deepEqual(swarm.backend.ended, [{ aborted: true }, { aborted: true }]);
  const event = await swarm.story.tells("client left before the end");
  assert.equal(event.fields.completionTokens, 1);
  await swarm.gateway.stop();
  assert.deepEqual(
    swarm.story.told.map(({ message }) => message),
    [
      "listening",
      "client left before the end",
      "client left before the end",
      "stopped",
    ],
  );
});
