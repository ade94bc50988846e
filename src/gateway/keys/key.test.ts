import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../../test/support/clock.ts";
import { Gate, MAX_AT_GATE } from "./gate.ts";
import { duration, Key } from "./key.ts";

const signal = new AbortController().signal;

test("so many requests a minute: a burst of all, then one as each comes back", async () => {
  const clock = new HandClock();
  const key = new Key("alice", { requestsPerMinute: 3 }, clock);
  const left = (): unknown[] => Object.values(key.headers());
  assert.deepEqual(key.headers(), {
    "x-ratelimit-limit-requests": "3",
    "x-ratelimit-remaining-requests": "3",
    "x-ratelimit-reset-requests": "0s",
  });
  for (let i = 0; i < 3; i++) key.takeRequest();
  assert.deepEqual(left(), ["3", "0", "1m0s"]);
  assert.throws(() => key.takeRequest(), {
    code: "RATE_LIMITED",
    message:
      "the key alice has used its 3 requests a minute; there are more in 20 s",
    details: { limit: "requests", perMinute: 3, retryAfterMs: 20_000 },
  });
  await clock.pass(20_000);
  assert.deepEqual(left(), ["3", "1", "40s"]);
  key.takeRequest();
  assert.throws(() => key.takeRequest(), { code: "RATE_LIMITED" });
  await clock.pass(600_000);
  assert.deepEqual(left(), ["3", "3", "0s"]);
});

test("tokens are counted as they come: what a request takes beyond them, the next one waits for", async () => {
  const clock = new HandClock();
  const key = new Key("alice", { tokensPerMinute: 600 }, clock);
  key.takeRequest();
  key.takePrompt(500);
  assert.equal(key.headers()["x-ratelimit-remaining-tokens"], "100");
  key.takeRequest();
  for (let i = 0; i < 300; i++) key.count(1);
  assert.deepEqual(Object.values(key.headers()), ["600", "0", "1m20s"]);
  // 200 are owed: 20.1 s at ten a second.
  const limited = {
    code: "RATE_LIMITED",
    details: { limit: "tokens", perMinute: 600, retryAfterMs: 20_100 },
  };
  assert.throws(() => key.takeRequest(), limited);
  assert.throws(() => key.takePrompt(1), limited);
  await clock.pass(20_100);
  key.takeRequest();
  // Longer than the limit of a minute: accepted, because it never fitted otherwise.
  key.takePrompt(6_000);
  await clock.pass(599_000);
  assert.throws(() => key.takeRequest(), { code: "RATE_LIMITED" });
  await clock.pass(2_000);
  key.takeRequest();
});

test("a refused request counts for nothing", () => {
  const key = new Key(
    "alice",
    { requestsPerMinute: 10, tokensPerMinute: 10 },
    new HandClock(),
  );
  key.takePrompt(10);
  assert.throws(() => key.takeRequest(), { code: "RATE_LIMITED" });
  assert.equal(key.headers()["x-ratelimit-remaining-requests"], "10");
});

test("other limits count what was used before", () => {
  const key = new Key("alice", { requestsPerMinute: 3 }, new HandClock());
  key.takeRequest();
  key.takeRequest();
  key.change({ requestsPerMinute: 5, tokensPerMinute: 7 });
  assert.deepEqual(
    [
      key.headers()["x-ratelimit-remaining-requests"],
      key.headers()["x-ratelimit-remaining-tokens"],
    ],
    ["3", "7"],
  );
  key.change({});
  assert.deepEqual(key.headers(), {});
  for (let i = 0; i < 100; i++) key.takeRequest();
});

test("a key may use the models it names, by any of their names; without any it may use all", () => {
  const clock = new HandClock();
  const one = new Key("a", { models: ["friends", "bafy"] }, clock);
  assert.equal(one.mayUse(["friends", "Some model"]), true);
  assert.equal(one.mayUse(["others", "Some model", "bafy"]), true);
  assert.equal(one.mayUse(["others", "Some model"]), false);
  assert.equal(new Key("b", {}, clock).mayUse(["others"]), true);
});

for (const [ms, text] of [
  [0, "0s"],
  [17, "17ms"],
  [1_000, "1s"],
  [8_640, "8.64s"],
  [60_000, "1m0s"],
  [361_500, "6m1.5s"],
] as const) {
  test(`${ms} ms are ${text}`, () => assert.equal(duration(ms), text));
}

test("at a gate so many are inside, the others enter in order, and one who leaves the line holds nobody up", async () => {
  const gate = new Gate(2);
  const order: string[] = [];
  const enter = (name: string, by = signal): Promise<() => void> =>
    gate.enter(by).then((leave) => {
      order.push(name);
      return leave;
    });
  const [first, second] = await Promise.all([enter("1"), enter("2")]);
  const gone = new AbortController();
  const third = enter("3", gone.signal);
  const fourth = enter("4");
  const fifth = enter("5");
  gone.abort();
  await assert.rejects(third);
  first();
  first();
  await fourth;
  assert.deepEqual(order, ["1", "2", "4"]);
  second();
  await fifth;
  gate.change(3);
  await enter("6");
  assert.deepEqual(order, ["1", "2", "4", "5", "6"]);
});

test("one whose turn comes just as it leaves gives it to the next", async () => {
  const gate = new Gate(1);
  const leave = await gate.enter(signal);
  const gone = new AbortController();
  const second = gate.enter(gone.signal);
  const third = gate.enter(signal);
  leave();
  gone.abort();
  await assert.rejects(second);
  await third;
});

test("so many may wait at a gate", async () => {
  const gate = new Gate(1);
  const ended = new AbortController();
  await gate.enter(signal);
  for (let i = 0; i < MAX_AT_GATE; i++)
    gate.enter(ended.signal).catch(() => {});
  await assert.rejects(gate.enter(signal), { code: "RATE_LIMITED" });
  ended.abort();
});
