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

test("the next prompts avoid a lost node for a minute, if possible", async () => {
  const clock = new HandClock();
  const shunned = new AvoidedPeers(clock);
  shunned.add("b");
  await clock.pass(30_000);
  shunned.add("c");
  const around = (...replaceable: string[]): string[] => [
    ...new Reroutes(
      (avoided) => [...avoided].every((p) => replaceable.includes(p)),
      shunned.list(),
    ).avoided,
  ];
  assert.deepEqual(around("b", "c"), ["b", "c"]);
  assert.deepEqual(around("c"), ["c"], "b is the only one of its layers");
  await clock.pass(30_000);
  assert.deepEqual(around("b", "c"), ["c"]);
  await clock.pass(30_000);
  assert.deepEqual(around("b", "c"), []);
});
