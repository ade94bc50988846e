import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionStatusSchema, STATUS_LIMITS } from "../status/index.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { predict } from "../routing/index.ts";
import { SessionLog } from "./session-log.ts";
import { decodeTimes, encodeTimes, StageClock } from "../ring/index.ts";

const ROUTE = [
  { peer: "a", layerStart: 0, layerEnd: 4, addresses: [] },
  { peer: "b", layerStart: 4, layerEnd: 8, addresses: [] },
];
const PREDICTION = predict(
  ROUTE.map((stage, i) => ({
    ...stage,
    sessions: { active: 0, max: 4 },
    msPerToken: 3 - i,
    links: ROUTE.map(({ peer }) => peer),
    roundTripsMs: [1, 1],
  })),
);

function logAt(): { log: SessionLog; pass: (ms: number) => void } {
  let now = 1_000;
  return { log: new SessionLog(() => now), pass: (ms) => (now += ms) };
}

test("a session is recorded from its queue to its end", () => {
  const { log, pass } = logAt();
  const entry = log.begin("id", 7);
  assert.equal(log.recent()[0]!.state, "queued");
  pass(5);
  entry.routed(ROUTE, PREDICTION);
  assert.equal(log.recent()[0]!.state, "prefill");
  entry.resumed(4);
  pass(15);
  entry.token();
  entry.resumed(6); // of a later route, which has the reply's beginning too
  for (let i = 0; i < 4; i++) {
    pass(10);
    entry.token();
  }
  entry.stageTimes(0, { computeMs: 3, queueMs: 1, wireMs: 0.5, direct: true });
  assert.equal(
    log.recent()[0]!.restMs,
    null,
    "one stage has reported nothing yet",
  );
  entry.stageTimes(1, {
    computeMs: 2,
    queueMs: 0,
    wireMs: undefined,
    direct: false,
  });
  entry.end();
  const status = sessionStatusSchema.parse(log.recent()[0]);
  assert.deepEqual(status, {
    id: "id",
    startedMs: 1_000,
    endedMs: 1_060,
    state: "done",
    waitingFor: null,
    error: null,
    promptTokens: 7,
    tokens: 5,
    cachedTokens: 4,
    recoveries: 0,
    recomputed: false,
    tokensPerSecond: 100,
    queuedMs: 5,
    timeToFirstTokenMs: 20,
    msPerToken: 10,
    predictedMsPerToken: 7.2,
    restMs: 4,
    route: [
      {
        peer: "a",
        layerStart: 0,
        layerEnd: 4,
        computeMs: 3,
        queueMs: 1,
        wireMs: 0.5,
        direct: true,
        predicted: { computeMs: 3, queueMs: 0, wireMs: 1.1 },
      },
      {
        peer: "b",
        layerStart: 4,
        layerEnd: 8,
        computeMs: 2,
        queueMs: 0,
        wireMs: null,
        direct: false,
        predicted: { computeMs: 2, queueMs: 0, wireMs: 1.1 },
      },
    ],
  });
  assert.deepEqual(log.totals(), { active: 0, total: 1, failed: 0, tokens: 5 });
});

for (const [name, error, state] of [
  ["its end", undefined, "done"],
  [
    "a stop string",
    new ShoalError("ABORTED", "over", { isOver: true }),
    "done",
  ],
  ["a client that left", new ShoalError("ABORTED", "gone"), "cancelled"],
  ["a lost stage", new ShoalError("STAGE_LOST", "stage 1"), "failed"],
] as const) {
  test(`after ${name} it is ${state}, and the first report counts`, () => {
    const { log } = logAt();
    const entry = log.begin("id", 1);
    entry.end(error);
    entry.end(new ShoalError("INTERNAL", "later"));
    assert.equal(log.recent()[0]!.state, state);
    assert.equal(log.totals().failed, state === "failed" ? 1 : 0);
  });
}

test("running requests come first, and only the last finished ones are kept", () => {
  const { log } = logAt();
  const running = log.begin("running", 1);
  for (let i = 0; i < 200; i++) log.begin(`${i}`, 1).end();
  const recent = log.recent();
  assert.equal(recent.length, STATUS_LIMITS.sessions);
  assert.deepEqual(
    recent.slice(0, 3).map(({ id }) => id),
    ["running", "199", "198"],
  );
  running.end();
  assert.equal(log.totals().total, 201);
});

test("a stage's times survive the wire, unknown stays unknown", () => {
  for (const wireMs of [0.25, undefined]) {
    const direct = wireMs !== undefined;
    const times = { computeMs: 1.234, queueMs: 0, wireMs, direct };
    assert.deepEqual(decodeTimes(encodeTimes(9, times)), times);
  }
  assert.throws(
    () => decodeTimes(new Uint8Array(15)),
    (error) => isShoalError(error, "FRAME_MALFORMED"),
  );
});

test("a stage reports its times after tokens 1, 2, 4, 8, and each 16th", () => {
  const clock = new StageClock();
  const told = Array.from({ length: 64 }, (_, i) =>
    clock.add(i, 0) ? i + 1 : 0,
  );
  assert.deepEqual(
    told.filter((n) => n > 0),
    [1, 2, 4, 8, 16, 32, 48, 64],
  );
  assert.equal(clock.times().computeMs, 32);
});

test("the way to the next stage is half of an echo's time; the median counts", () => {
  const clock = new StageClock();
  assert.equal(clock.times().wireMs, undefined);
  let asked = 0;
  for (let i = 0; i < 20; i++) {
    if (clock.asksEcho(i, 100 * i)) {
      asked++;
      clock.echoed(i + 1, 100 * i + 1); // another frame's
      clock.echoed(i, 100 * i + 2 + i);
      clock.echoed(i, 100 * i + 99); // twice
    }
    clock.add(1, 1);
  }
  assert.equal(asked, 5);
  assert.equal(clock.times().wireMs, (2 + 8) / 2);
});
