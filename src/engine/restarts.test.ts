import assert from "node:assert/strict";
import { test } from "node:test";
import { ShoalError } from "../lib/index.ts";
import { RESTART_DEFAULTS, Restarts } from "./restarts.ts";

const { most, wellMs } = RESTART_DEFAULTS;
const ABORTED = new ShoalError("ENGINE_DIED", "the engine died", {
  signal: "SIGABRT",
});

test("one that fails at each load is tried again after longer and longer pauses, and then no more", () => {
  const restarts = new Restarts({ random: () => 1 });
  const pauses = [restarts.died(ABORTED, wellMs + 1)];
  while (pauses.at(-1) !== undefined) pauses.push(restarts.notLoaded(ABORTED));
  assert.deepEqual(pauses, [
    200,
    400,
    800,
    1_600,
    3_200,
    6_400,
    12_800,
    undefined,
  ]);
  assert.equal(restarts.failures, most);
});

test("one that loads and dies soon after, each time, is given up as well", () => {
  const restarts = new Restarts();
  for (let i = 1; i < most; i++)
    assert.notEqual(restarts.died(ABORTED, 1_000), undefined);
  assert.equal(restarts.died(ABORTED, 1_000), undefined);
});

test("one that ran well before it died is tried again for ever, soon", () => {
  const restarts = new Restarts({ random: () => 1 });
  for (let i = 0; i < 100; i++)
    assert.equal(restarts.died(ABORTED, wellMs + 1), 200);
});

test("what ends it from outside says nothing about the next one; want of memory does", () => {
  const restarts = new Restarts({ random: () => 1 });
  const killed = { signal: "SIGKILL" };
  for (let i = 0; i < 100; i++) {
    const by = i % 2 === 0 ? killed : { fault: "stopped" };
    const code = i % 2 === 0 ? "ENGINE_DIED" : "ENGINE_HUNG";
    const pauseMs = restarts.died(new ShoalError(code, "ended", by), 0);
    assert.ok(pauseMs !== undefined && pauseMs <= RESTART_DEFAULTS.maxMs);
  }
  const starved = { ...killed, isOutOfMemory: true };
  let pauseMs: number | undefined = 0;
  for (let i = 0; i < most; i++)
    pauseMs = restarts.died(new ShoalError("ENGINE_DIED", "ended", starved), 0);
  assert.equal(pauseMs, undefined);
});

test("one that dies while another shard is loaded beside it goes on, soon", () => {
  const restarts = new Restarts({ random: () => 1 });
  const beside = new ShoalError("ENGINE_DIED", "the engine died", {
    signal: "SIGABRT",
    isOthersFault: true,
  });
  for (let i = 0; i < 100; i++) {
    assert.equal(restarts.died(beside, 0), 200);
    assert.equal(restarts.notLoaded(beside), 200);
  }
});
