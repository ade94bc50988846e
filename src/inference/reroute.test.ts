import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import { type ErrorCode, type ErrorDetails, ShoalError } from "../lib/index.ts";
import { Reroutes, AvoidedPeers } from "./reroute.ts";

const ROUTE = [{ peer: "a" }, { peer: "b" }, { peer: "c" }];

const refused = (
  code: ErrorCode,
  details: ErrorDetails,
  cause?: ErrorCode,
): ShoalError =>
  new ShoalError(code, "no", details, cause && new ShoalError(cause, "why"));

/** Only these can each be replaced. */
const swarm = (...replaceable: string[]): Reroutes =>
  new Reroutes((avoided) => [...avoided].every((p) => replaceable.includes(p)));

test("a stage that refuses is avoided if another node holds its layers", () => {
  for (const code of [
    "BUSY",
    "DRAINING",
    "STAGE_LOST",
    "STAGE_FAILED",
    "DEADLINE",
  ] as const) {
    const detours = swarm("b");
    const detour = detours.after(refused(code, { stage: 1 }), ROUTE);
    assert.deepEqual(detour, { peer: "b", words: "another route" });
    assert.deepEqual([...detours.avoided], ["b"]);
  }
});

test("a stage that cannot be reached is avoided, or else the one that cannot reach it", () => {
  const error = refused("STAGE_LOST", { stage: 2, from: 1 });
  assert.equal(swarm("b", "c").after(error, ROUTE)?.peer, "c");
  assert.equal(swarm("b").after(error, ROUTE)?.peer, "b");
  assert.equal(swarm("a").after(error, ROUTE), undefined);
});

test("one after the other, until there is no other way", () => {
  const detours = swarm("b", "c");
  const error = refused("BUSY", { stage: 1 });
  assert.equal(detours.after(error, ROUTE)?.peer, "b");
  const next = [{ peer: "a" }, { peer: "d" }, { peer: "c" }];
  assert.equal(detours.after(error, next), undefined);
});

test("where the only other holder failed earlier sessions, it is used all the same", () => {
  // a or A, b or B, and c.
  const hasRoute = (avoided: ReadonlySet<string>): boolean =>
    !avoided.has("c") &&
    ["a", "b"].every(
      (peer) => !(avoided.has(peer) && avoided.has(peer.toUpperCase())),
    );
  const detours = new Reroutes(hasRoute, ["B", "A"]);
  assert.deepEqual([...detours.avoided], ["B", "A"]);
  const error = refused("BUSY", { stage: 1 });
  assert.equal(detours.after(error, ROUTE)?.peer, "b");
  assert.deepEqual([...detours.avoided], ["b", "A"]);
  const next = [{ peer: "a" }, { peer: "B" }, { peer: "c" }];
  assert.equal(detours.after(error, next), undefined, "b failed this reply");
});

test("a lost connection is opened again, once", () => {
  const detours = swarm();
  const error = refused("STAGE_LOST", { stage: 1 }, "STREAM_CLOSED");
  assert.deepEqual(detours.after(error, ROUTE), {
    peer: "b",
    words: "the same route over a new connection",
  });
  assert.deepEqual([...detours.avoided], []);
  assert.equal(detours.after(error, ROUTE), undefined);
});

test("a failed dial, or an error without a culprit, is not tried again", () => {
  for (const error of [
    refused("STAGE_LOST", { stage: 1 }, "DIAL_FAILED"),
    refused("STAGE_LOST", { stage: 2, from: 1 }),
    refused("BUSY", { stage: 1 }),
    refused("STAGE_LOST", {}),
    refused("STAGE_LOST", { stage: 9 }),
    refused("CONTEXT_EXCEEDED", { stage: 1 }),
  ])
    assert.equal(swarm().after(error, ROUTE), undefined);
});

test("where nothing came and nobody is named, every stage is avoided that can be", () => {
  const late = refused("DEADLINE", { timeoutMs: 75_000 });
  const detours = swarm("a", "c");
  assert.deepEqual(detours.after(late, ROUTE), {
    peer: "a",
    words: "another route",
  });
  assert.deepEqual([...detours.avoided], ["a", "c"]);
  assert.deepEqual(detours.blamed(late, ROUTE), ["a", "c"]);
  assert.equal(swarm().after(late, ROUTE), undefined);
});

test("a peer is blamed for what it failed, and for its loss only where it is avoided; not for saying no", () => {
  const blamed = (error: ShoalError, ...replaceable: string[]): string[] => {
    const detours = swarm(...replaceable);
    detours.after(error, ROUTE);
    return detours.blamed(error, ROUTE);
  };
  assert.deepEqual(blamed(refused("STAGE_FAILED", { stage: 1 })), ["b"]);
  assert.deepEqual(blamed(refused("STAGE_LOST", { stage: 1 }), "b"), ["b"]);
  assert.deepEqual(blamed(refused("STAGE_LOST", { stage: 1 })), []);
  const unreachable = refused("STAGE_LOST", { stage: 2, from: 1 });
  assert.deepEqual(blamed(unreachable, "b"), ["b"]);
  assert.deepEqual(blamed(refused("BUSY", { stage: 1 }), "b"), []);
  assert.deepEqual(blamed(refused("DRAINING", { stage: 1 }), "b"), []);
});

/** Of the shunned, those that are avoided where only these can be replaced. */
const around = (shunned: AvoidedPeers, ...replaceable: string[]): string[] => [
  ...new Reroutes(
    (avoided) => [...avoided].every((p) => replaceable.includes(p)),
    shunned.list(),
  ).avoided,
];

test("the next prompts avoid a lost node for a minute, if possible", async () => {
  const clock = new HandClock();
  const shunned = new AvoidedPeers(clock);
  shunned.add("b", "STAGE_LOST");
  await clock.pass(30_000);
  shunned.add("c", "STAGE_LOST");
  assert.deepEqual(around(shunned, "b", "c"), ["c", "b"]);
  assert.deepEqual(around(shunned, "c"), ["c"], "b is the only one");
  await clock.pass(30_000);
  assert.deepEqual(around(shunned, "b", "c"), ["c"]);
  await clock.pass(30_000);
  assert.deepEqual(around(shunned, "b", "c"), []);
});

test("one that fails again and again is avoided for longer each time, then tried again", async () => {
  const clock = new HandClock();
  const shunned = new AvoidedPeers(clock);
  const avoidedMs: number[] = [];
  for (let i = 0; i < 8; i++) {
    shunned.add("b", "STAGE_FAILED");
    const startedMs = clock.now();
    while (around(shunned, "b").length > 0) await clock.pass(1_000);
    avoidedMs.push(clock.now() - startedMs);
  }
  assert.deepEqual(
    avoidedMs,
    [10, 20, 40, 80, 160, 320, 600, 600].map((s) => s * 1000),
  );
  // Ten minutes without a failure: it begins anew.
  await clock.pass(600_000);
  shunned.add("b", "STAGE_FAILED");
  await clock.pass(10_000);
  assert.deepEqual(around(shunned, "b"), []);
});

test("sessions that fail together count as one failure", async () => {
  const clock = new HandClock();
  const shunned = new AvoidedPeers(clock);
  for (let i = 0; i < 8; i++) shunned.add("b", "STAGE_FAILED");
  await clock.pass(10_000);
  assert.deepEqual(around(shunned, "b"), []);
});

test("one that hangs is avoided as long as one that is lost", async () => {
  const clock = new HandClock();
  const shunned = new AvoidedPeers(clock);
  shunned.add("b", "STAGE_FAILED");
  shunned.add("b", "DEADLINE");
  await clock.pass(59_000);
  assert.deepEqual(around(shunned, "b"), ["b"]);
  await clock.pass(1_000);
  assert.deepEqual(around(shunned, "b"), []);
});
