import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import {
  type ErrorCode,
  type ErrorDetails,
  Events,
  ShoalError,
} from "../lib/index.ts";
import { Recovery } from "./recovery.ts";
import { AvoidedPeers } from "./reroute.ts";

const ROUTE = [
  { peer: "a", layerStart: 0, layerEnd: 4 },
  { peer: "b", layerStart: 4, layerEnd: 8 },
];
const TIMEOUT_MS = 60_000;
const READY_TIMEOUT_MS = 30_000;

const failure = (
  code: ErrorCode = "STAGE_FAILED",
  details: ErrorDetails = { stage: 1 },
): ShoalError => new ShoalError(code, "stage 1 failed", details);

/** A cluster in which only these peers can be replaced. */
function recovering(
  replaceable: string[] = [],
  timeoutMs = TIMEOUT_MS,
  readyTimeoutMs = READY_TIMEOUT_MS,
) {
  const clock = new HandClock();
  const abort = new AbortController();
  const seen = { waits: 0 };
  let change: (() => void) | undefined;
  const shunned = new AvoidedPeers(clock);
  const firstRouteByMs = clock.now() + readyTimeoutMs;
  const another = (): Recovery =>
    new Recovery({
      clock,
      timeoutMs,
      firstRouteByMs,
      events: new Events(),
      signal: abort.signal,
      shunned,
      hasRoute: (avoided) =>
        [...avoided].every((peer) => replaceable.includes(peer)),
      changed: () => new Promise((resolve) => (change = resolve)),
      onWaiting: () => seen.waits++,
    });
  const recovery = another();
  const tellChange = (): void => change?.();
  return { recovery, another, replaceable, clock, seen, abort, tellChange };
}

/** Whether it has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  await turn();
  return settled;
}

test("another holder is taken at once", async () => {
  const { recovery, seen } = recovering(["b"]);
  await recovery.after(failure("STAGE_LOST"), ROUTE);
  assert.deepEqual([...recovery.avoided], ["b"]);
  assert.equal(seen.waits, 0);
});

test("without another holder it waits for a change of the cluster", async () => {
  const { recovery, seen, tellChange } = recovering();
  const waits = recovery.after(failure(), ROUTE);
  assert.equal(await isSettled(waits), false);
  assert.equal(seen.waits, 1);
  tellChange();
  await waits;
});

test("where nothing changes it tries again by itself, and gives up after the timeout with what was tried", async () => {
  const { recovery, clock } = recovering();
  let tries = 0;
  for (;;) {
    const again = recovery.after(failure(), ROUTE);
    if (await isSettled(again)) {
      await assert.rejects(again, {
        code: "STAGE_FAILED",
        message: `stage 1 failed (${tries + 1} tries in 60 s)`,
      });
      break;
    }
    tries++;
    await clock.pass(5_000);
    await again;
    assert.ok(tries < 100);
  }
  assert.ok(tries >= 12, `${tries} tries`);
});

test("a token starts the time anew", async () => {
  const { recovery, clock } = recovering();
  for (let i = 0; i < 30; i++) {
    const again = recovery.after(failure(), ROUTE);
    await isSettled(again);
    await clock.pass(5_000);
    await again;
    recovery.progress();
  }
});

test("what is not a stage's fault, and what would fail again, is not tried again", async () => {
  for (const error of [
    failure("CONTEXT_EXCEEDED"),
    failure("ABORTED"),
    failure("STAGE_FAILED", { stage: 1, engine: "ENGINE_FAILED" }),
  ]) {
    const { recovery, seen } = recovering();
    await assert.rejects(recovery.after(error, ROUTE), error);
    assert.equal(seen.waits, 0);
  }
});

test("a cluster without room is an answer before the first token, and a state after it", async () => {
  const { recovery, tellChange } = recovering();
  const busy = failure("BUSY");
  await assert.rejects(recovery.after(busy, ROUTE), busy);
  recovery.progress();
  const waits = recovery.after(busy, ROUTE);
  assert.equal(await isSettled(waits), false);
  tellChange();
  await waits;
});

test("a client that leaves ends the wait with its reason", async () => {
  const { recovery, abort, clock } = recovering();
  const waits = recovery.after(failure(), ROUTE);
  assert.equal(await isSettled(waits), false);
  const gone = new ShoalError("ABORTED", "the client went away");
  abort.abort(gone);
  await clock.pass(5_000);
  await assert.rejects(waits, gone);
});

test("without time to wait the error is given as it is", async () => {
  const { recovery } = recovering([], 0);
  const error = failure();
  await assert.rejects(recovery.after(error, ROUTE), error);
});

test("a stage that failed a reply is avoided by the next ones, and then tried again", async () => {
  const first = recovering(["b"]);
  await first.recovery.after(failure(), ROUTE);
  const next = (): string[] => [...first.another().avoided];
  assert.deepEqual(next(), ["b"]);
  await first.clock.pass(10_000);
  assert.deepEqual(next(), []);
  // The same, where nobody could take its place at that moment.
  const alone = recovering([]);
  const waits = alone.recovery.after(failure(), ROUTE);
  await isSettled(waits);
  alone.replaceable.push("b");
  assert.deepEqual([...alone.another().avoided], ["b"]);
  alone.tellChange();
  await waits;
  assert.deepEqual([...alone.recovery.avoided], ["b"]);
});

const NOT_READY = new ShoalError("SWARM_NOT_READY", "shard 1 of 2 is missing");

/** Tries without end while nothing changes. Gives the error, and how long it took. */
async function gaveUp(
  { recovery, clock }: ReturnType<typeof recovering>,
  error: ShoalError,
  route: typeof ROUTE,
): Promise<{ message: string; ms: number }> {
  const startedMs = clock.now();
  for (let tries = 0; tries < 1_000; tries++) {
    const again = recovery.after(error, route);
    if (await isSettled(again)) {
      const thrown = await again.then(
        () => undefined,
        (reason: unknown) => ShoalError.from(reason),
      );
      if (thrown !== undefined)
        return { message: thrown.message, ms: clock.now() - startedMs };
    }
    await clock.pass(250);
  }
  throw new Error("it never gave up");
}

test("without a first route it waits until the cluster should be ready, and no longer", async () => {
  const { message, ms } = await gaveUp(recovering(), NOT_READY, []);
  assert.match(message, /^shard 1 of 2 is missing \(\d+ tries in 30 s\)$/);
  assert.ok(ms >= READY_TIMEOUT_MS && ms < READY_TIMEOUT_MS + 500, `${ms} ms`);
  const hasty = recovering([], TIMEOUT_MS, 0);
  await assert.rejects(hasty.recovery.after(NOT_READY), NOT_READY);
});

test("once it had a route, its own patience counts, from then on", async () => {
  const swarm = recovering();
  const first = swarm.recovery.after(NOT_READY);
  await isSettled(first);
  swarm.tellChange();
  await first;
  await swarm.clock.pass(20_000);
  const { ms } = await gaveUp(swarm, failure(), ROUTE);
  assert.ok(ms >= TIMEOUT_MS && ms < TIMEOUT_MS + 500, `${ms} ms`);
});
