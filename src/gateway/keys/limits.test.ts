/** What a key may: how it is sent, which models it sees, and what it gets when it has used all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LightMyRequestResponse } from "fastify";
import { CHAT, inProcess } from "../../../test/fakes/gateway.ts";
import { HandClock } from "../../../test/support/clock.ts";
import { Events, ShoalError } from "../../lib/index.ts";
import { networkOf } from "../caller.ts";
import { parseKeys } from "./keys-file.ts";
import { Keys } from "./keys.ts";

const ALICE = "sk-alice-0123456789";
const BOB = "sk-bob-0123456789abc";
/** CHAT's prompt with its BOS, and the reply with its end. */
const PROMPT_TOKENS = 28;
const REPLY_TOKENS = 4;

type Asked = (
  secret: string,
  body?: object,
  path?: string,
) => Promise<LightMyRequestResponse>;

function gateway(alice: object, bob: object = {}) {
  const clock = new HandClock();
  const keys = new Keys({ clock, events: new Events() });
  const entries = [
    { name: "alice", key: ALICE, ...alice },
    { name: "bob", key: BOB, ...bob },
  ];
  keys.replace(parseKeys(JSON.stringify({ keys: entries }), "keys"));
  const it = inProcess({ keys, clock });
  const ask: Asked = (secret, body = {}, path = "/v1/chat/completions") =>
    it.app.inject({
      method: "POST",
      url: path,
      headers: { authorization: `Bearer ${secret}` },
      payload: { ...CHAT, ...body },
    });
  const models = async (secret: string): Promise<string[]> => {
    const response = await it.app.inject({
      url: "/v1/models",
      headers: { "x-api-key": secret },
    });
    return response.json<{ data: { id: string }[] }>().data.map(({ id }) => id);
  };
  return { ...it, ask, models, clock };
}

for (const [name, headers, status] of [
  ["Authorization: Bearer", { authorization: `Bearer ${ALICE}` }, 200],
  ["authorization in other letters", { authorization: `bearer  ${BOB}` }, 200],
  ["X-Api-Key", { "x-api-key": ALICE }, 200],
  ["api-key", { "api-key": ALICE }, 200],
  [
    "a wrong one and a right one",
    { authorization: "Bearer -", "x-api-key": BOB },
    200,
  ],
  ["none", {}, 401],
  ["an empty one", { "x-api-key": "" }, 401],
  ["one that begins right", { "x-api-key": ALICE.slice(0, -1) }, 401],
  ["one without Bearer", { authorization: ALICE }, 401],
] as const) {
  test(`a key in ${name}: ${status}`, async () => {
    const { app } = gateway({});
    const { statusCode } = await app.inject({ url: "/v1/models", headers });
    assert.equal(statusCode, status);
  });
}

test("past its requests a key gets 429 in OpenAI's form, which says when there are more; another key does not", async () => {
  const { ask, clock, backend } = gateway({ requestsPerMinute: 2 });
  for (const remaining of ["1", "0"]) {
    const { statusCode, headers } = await ask(ALICE);
    assert.equal(statusCode, 200);
    assert.equal(headers["x-ratelimit-remaining-requests"], remaining);
  }
  const refused = await ask(ALICE);
  assert.equal(refused.statusCode, 429);
  assert.deepEqual(
    ["retry-after", "limit", "remaining", "reset"].map(
      (what) =>
        refused.headers[
          what === "retry-after" ? what : `x-ratelimit-${what}-requests`
        ],
    ),
    ["30", "2", "0", "1m0s"],
  );
  const { error } = refused.json<{ error: Record<string, unknown> }>();
  assert.equal(error.code, "rate_limit_exceeded");
  assert.match(String(error.message), /^the key alice has used its 2 requests/);
  const other = await ask(BOB);
  assert.equal(other.statusCode, 200);
  assert.equal(other.headers["x-ratelimit-limit-requests"], undefined);
  assert.equal(backend.requests.length, 3);
  await clock.pass(30_000);
  assert.equal((await ask(ALICE)).statusCode, 200);
});

test("prompts and replies use a key's tokens, streamed or not; what was not generated is not counted", async () => {
  const { ask, clock } = gateway({ tokensPerMinute: 60 });
  const first = await ask(ALICE, { max_tokens: 70 });
  assert.equal(first.headers["x-ratelimit-remaining-tokens"], "32");
  const second = await ask(ALICE, { stream: true });
  assert.equal(second.statusCode, 200);
  assert.equal(second.headers["x-ratelimit-remaining-tokens"], "0");
  const used = 2 * (PROMPT_TOKENS + REPLY_TOKENS);
  const refused = await ask(ALICE);
  assert.equal(refused.statusCode, 429);
  // A token a second.
  assert.equal(refused.headers["retry-after"], String(used - 60 + 1));
  await clock.pass((used - 60 + 1) * 1_000);
  assert.equal((await ask(ALICE)).statusCode, 200);
});

test("each answer tells what is left, also of the models", async () => {
  const { app } = gateway({ requestsPerMinute: 2, tokensPerMinute: 10 });
  const { headers } = await app.inject({
    url: "/v1/models",
    headers: { "x-api-key": ALICE },
  });
  assert.equal(headers["x-ratelimit-remaining-requests"], "2");
  assert.equal(headers["x-ratelimit-limit-tokens"], "10");
});

test("past its sessions a key's requests wait, and another key's run meanwhile", async () => {
  const { ask, backend } = gateway({ sessions: 1 });
  const release = Promise.withResolvers<void>();
  backend.script = [{ until: release.promise }, "Hello"];
  const asked = [ask(ALICE), ask(ALICE), ask(BOB)];
  while (backend.requests.length < 2) await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.deepEqual(
    backend.requests.map(({ flow }) => flow),
    ["key alice", "key bob"],
  );
  release.resolve();
  for (const { statusCode } of await Promise.all(asked))
    assert.equal(statusCode, 200);
  assert.equal(backend.requests.length, 3);
});

test("a key sees the models that it may use, and no others", async () => {
  const { ask, models } = gateway(
    { models: ["shoal-demo"] },
    { models: ["another", "demo/another"] },
  );
  assert.deepEqual(await models(ALICE), ["shoal-demo"]);
  assert.equal((await ask(ALICE)).statusCode, 200);
  assert.deepEqual(await models(BOB), []);
  const refused = await ask(BOB);
  assert.equal(refused.statusCode, 404);
  const { error } = refused.json<{ error: Record<string, unknown> }>();
  assert.equal(error.code, "model_not_found");
  assert.doesNotMatch(String(error.message), /serves "/);
});

test("the event of a request tells the key's name and the model, and neither key nor prompt", async () => {
  const { ask, story, backend } = gateway({ requestsPerMinute: 1 });
  const secret = { messages: [{ role: "user", content: "classified" }] };
  await ask(ALICE, secret);
  const { fields } = await story.tells("request answered");
  assert.equal(fields.key, "alice");
  assert.equal(fields.model, "shoal-demo");
  assert.equal(fields.completionTokens, REPLY_TOKENS);
  await ask(ALICE, secret);
  const { fields: refused } = await story.tells("request failed");
  assert.deepEqual([refused.key, refused.code], ["alice", "RATE_LIMITED"]);
  backend.script = [{ throw: new ShoalError("STAGE_LOST", "it is gone") }];
  await ask(BOB, secret);
  const told = JSON.stringify(story.told);
  assert.match(told, /STAGE_LOST/);
  assert.doesNotMatch(told, /classified|0123456789/);
});

for (const [address, network] of [
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8::6", "2001:db8:0:0"],
  ["2001:db8:1:2:3::", "2001:db8:1:2"],
  ["fe80::1%eth0", "fe80:0:0:0"],
  ["::1", "0:0:0:0"],
  [undefined, ""],
] as const) {
  test(`without a key, ${address} shares its turn with ${network}`, () =>
    assert.equal(networkOf(address), network));
}
