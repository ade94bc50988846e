/** The better cut from what members announce, and when it is worth a change. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import type { Manifest } from "../model/index.ts";
import { cutTimes } from "./better-cut.ts";
import { type Cut, firstCut } from "./cut-in-force.ts";
import type { CutQuestion, Mover } from "./cut-stages.ts";
import {
  isDue,
  MOVE,
  NO_MOVES,
  seeGain,
  seeNow,
  steady,
} from "./move-history.ts";
import { type CutPlan, planCut } from "./plan-cut.ts";
import { freeFor, needsOf, planShards } from "./shard-needs.ts";

const MiB = 2 ** 20;
const LAYERS = 14;
const part = (id: string, sizeBytes: number) => ({
  id,
  sizeBytes,
  root: new Uint8Array(32),
  tensors: [],
});
const layers = Array.from({ length: LAYERS }, (_, i) => i);
const model: Manifest = {
  version: 2,
  name: "x",
  architecture: "llama",
  layerCount: LAYERS,
  embeddingLength: 256,
  contextLength: 8_192,
  vocabSize: 1_000,
  quantization: "F32",
  tied: false,
  cuts: { borders: layers.slice(1), needs: [], refusedLengths: [] },
  layerCosts: layers.map(() => 10 * MiB),
  layerMemory: layers.map(() => ({ bytesPerToken: 4_096, bytesPerSession: 0 })),
  files: [],
  parts: [
    part("metadata", 1),
    part("embedding", 0),
    ...layers.map((i) => part(`layer.${i}`, 10 * MiB)),
    part("output", 0),
  ],
};
const room = { contextLength: 4_096, sessions: 1 };
const first = firstCut(model, 3);
const PLENTY = 1_000 * MiB;

/** A node for each stage, of these milliseconds a layer. */
function nodes(
  msPerLayer: readonly number[],
  changes: Partial<Mover> = {},
  cut: Cut = first,
): Mover[] {
  return cut.ranges.map((range, i) => ({
    peer: `node-${i}`,
    manifest: "m",
    ...range,
    state: "ready",
    contextLength: room.contextLength,
    sessions: { active: 0, max: 1 },
    msPerToken: msPerLayer[i]! * (range.layerEnd - range.layerStart),
    capacity: { freeMemoryBytes: PLENTY },
    move: "auto",
    ...changes,
  }));
}

const question = (
  announcements: Mover[],
  sessionsAtOnce = 1,
  cut = first,
): CutQuestion => ({
  manifest: "m",
  model,
  cut,
  shards: planShards(model, cut.ranges),
  announcements,
  sessionsAtOnce,
  ...room,
});

function planOf(announcements: Mover[], sessionsAtOnce = 1): CutPlan {
  const plan = planCut(question(announcements, sessionsAtOnce));
  if ("reason" in plan) assert.fail(plan.reason);
  return plan;
}

const sizes = ({ better }: CutPlan): number[] =>
  better.ranges.map(({ layerStart, layerEnd }) => layerEnd - layerStart);

test("layers go by measured speed; the gain is what a token saves", () => {
  const plan = planOf(nodes([4, 2, 1]), 100);
  assert.deepEqual(sizes(plan), [2, 4, 8]);
  assert.equal(plan.now.msPerToken, 100 * 4 * 5);
  assert.ok(Math.abs(plan.better.msPerToken - 100 * 8) < 20);
  assert.ok(Math.abs(plan.gain - 0.6) < 0.01);
});

test("machines alike stay as they are", () => {
  const plan = planOf(nodes([1, 1, 1]), 4);
  assert.deepEqual(plan.better.ranges, first.ranges);
  assert.equal(plan.gain, 0);
});

test("more layers than fit beside what a node holds are not given to it", () => {
  const range = { layerStart: 7, layerEnd: LAYERS };
  const [shard] = planShards(model, [range]);
  const most = freeFor(needsOf(shard!, room).totalBytes);
  const tight = nodes([4, 2, 1]).map((a, i) =>
    i === 2 ? { ...a, capacity: { freeMemoryBytes: most } } : a,
  );
  assert.deepEqual(sizes(planOf(tight)), [1, 6, 7]);
  const none = nodes([4, 2, 1], { capacity: undefined });
  assert.deepEqual(planOf(none).better.ranges, first.ranges);
});

test("a standby's memory counts as free, because it is given back for this", () => {
  const all = nodes([4, 2, 1]).map((a, i) =>
    i === 2 ? { ...a, capacity: { freeMemoryBytes: 0 } } : a,
  );
  const standby = {
    ...all[0]!,
    peer: "node-2",
    takenOver: true,
    capacity: { freeMemoryBytes: 0 },
  };
  assert.equal(sizes(planOf(all))[2], 5 - (5 * 3 - LAYERS));
  const [, , last] = sizes(planOf([...all, standby]));
  assert.ok(last! >= 4, `${last} layers`);
});

test("nodes whose layers stay, alone or beside others, keep their stage as it is", () => {
  const all = nodes([4, 2, 1]);
  const fixed = { ...all[0]!, peer: "fixed", move: undefined };
  for (const announcements of [
    [fixed, ...all.slice(1)],
    [...all, fixed],
  ])
    assert.deepEqual(planOf(announcements).better.ranges[0], first.ranges[0]);
});

test("two nodes of one stage share many sessions; one session has the faster of them", () => {
  const all = nodes([2, 2, 2]);
  const second = { ...all[0]!, peer: "second" };
  assert.ok(sizes(planOf([...all, second], 100))[0]! > 5);
  const fast = { ...second, msPerToken: 5 };
  assert.deepEqual(sizes(planOf([...all, fast])), [12, 1, 1]);
});

const silent: readonly [string, Mover[], RegExp][] = [
  ["a stage without a node", nodes([1, 1, 1]).slice(1), /stage 0 .* no ready node/],
  ["a stage with a stand-in", nodes([1, 1, 1]).map((a, i) => (i === 1 ? { ...a, takenOver: true } : a)), /stage 1 .* no ready node of its own/],
  ["a stage that never computed", nodes([1, 1, 1]).map((a, i) => (i === 2 ? { ...a, msPerToken: undefined } : a)), /stage 2 .* has not computed/],
]; // prettier-ignore
for (const [name, announcements, reason] of silent) {
  test(`with ${name} nothing is said`, () => {
    const plan = planCut(question(announcements));
    assert.match("reason" in plan ? plan.reason : "", reason);
  });
}

// ---- when

const { afterMs } = MOVE;

/** Looks every 5 s for so long, until a change is due: when that was. */
function dueAfter(
  forMs: number,
  at: (nowMs: number) => { nodes: Mover[]; sessions: number; key?: string },
): number | undefined {
  let history = NO_MOVES;
  for (let nowMs = 0; nowMs <= forMs; nowMs += 5_000) {
    const { nodes: all, sessions, key = "same" } = at(nowMs);
    const sight = { nowMs, key, sessions, afterMs, holders: all };
    history = seeNow(history, sight);
    const steadied = all.map((a) => steady(a, history));
    const plan = planCut(question(steadied, history.sessions));
    const gain = "reason" in plan ? undefined : plan.gain;
    history = seeGain(history, gain, nowMs);
    if (isDue(history, nowMs, MOVE.afterMs)) return nowMs;
  }
  return undefined;
}

test("machines alike are not moved in an hour, however their times vary, idle and busy", () => {
  for (const seed of [1, 2]) {
    const random = new Random(seed, "alike");
    const vary = (most: number): number =>
      1 + most * ((2 * random.next()) / 2 ** 32 - 1);
    // A time is announced every 20 s; some of it is the machine's own for longer.
    let [slow, quick] = [
      [1, 1, 1],
      [1, 1, 1],
    ];
    const moved = dueAfter(3_600_000, (nowMs) => {
      if (nowMs % 300_000 === 0) slow = slow.map(() => vary(0.08));
      if (nowMs % 20_000 === 0) quick = quick.map(() => vary(0.12));
      const sessions = Math.floor(nowMs / 600_000);
      return { nodes: nodes(slow.map((ms, i) => ms * quick[i]!)), sessions };
    });
    assert.equal(moved, undefined, `seed ${seed}`);
  }
});

test("a machine that is slow for a minute at times, because something else computes there, is like the others", () => {
  const moved = dueAfter(3_600_000, (nowMs) => {
    const isBusy = nowMs % 300_000 < 60_000;
    return { nodes: nodes([1, isBusy ? 5 : 1, 1]), sessions: 2 };
  });
  assert.equal(moved, undefined);
});

test("machines that differ are moved once that has lasted, and later if somebody came", () => {
  const apart = nodes([4, 2, 1]);
  const at = (nowMs: number) => ({ nodes: apart, sessions: 3, nowMs });
  assert.equal(dueAfter(3_600_000, at), MOVE.afterMs);
  const came = dueAfter(3_600_000, (nowMs) => ({
    ...at(nowMs),
    key: nowMs < 100_000 ? "before" : "after",
  }));
  assert.equal(came, 100_000 + MOVE.afterMs);
  // A machine that becomes slow for good is slow once it was so for half of the time that counts.
  const slowed = dueAfter(3_600_000, (nowMs) => ({
    ...at(nowMs),
    nodes: nodes([nowMs < 600_000 ? 1 : 8, 1, 1]),
  }));
  assert.ok(slowed! >= 600_000 + MOVE.afterMs, `${slowed}`);
  assert.ok(slowed! <= 600_000 + 1.6 * MOVE.afterMs, `${slowed}`);
});

test("after the change nothing better is left to do", () => {
  const { better } = planOf(nodes([4, 2, 1]), 3);
  const cut = { version: 1, ranges: better.ranges };
  const again = planCut(question(nodes([4, 2, 1], {}, cut), 3, cut));
  if ("reason" in again) assert.fail(again.reason);
  assert.equal(again.gain, 0);
  assert.deepEqual(again.now.ranges, better.ranges);
});

test("sessions at once are an average: one burst is not a load", () => {
  const sight = { key: "", afterMs, holders: [] };
  let history = seeNow(NO_MOVES, { ...sight, nowMs: 0, sessions: 1 });
  assert.equal(history.sessions, 1);
  history = seeNow(history, { ...sight, nowMs: 2_000, sessions: 31 });
  assert.ok(history.sessions < 2.1, `${history.sessions}`);
  for (let nowMs = 4_000; nowMs < 400_000; nowMs += 2_000)
    history = seeNow(history, { ...sight, nowMs, sessions: 31 });
  assert.ok(history.sessions > 30.5);
  const times = { layerCount: 1, isShard: () => true, costOf: () => 1 };
  const range = { layerStart: 0, layerEnd: 1 };
  const stage = { range, fixedMs: 0, msPerCost: 2, share: 1 };
  const stages = [{ ...stage, fits: () => true }];
  const of = (sessions: number) =>
    cutTimes({ ...times, stages, wireMs: 1, sessions }, []).msPerToken;
  assert.deepEqual([of(1), of(3)], [3, 6]);
});
