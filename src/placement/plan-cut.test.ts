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

test("what the better cut surely saves: as if those with more layers were slow, and the others fast", () => {
  const middle = (part: number) => (a: Mover) => ({
    ...a,
    middleMs: [a.msPerToken! * (1 - part), a.msPerToken! * (1 + part)] as const,
  });
  const calm = planOf(nodes([400, 200, 100]).map(middle(0)), 3);
  assert.equal(calm.sureGain, calm.gain);
  const wild = planOf(nodes([100, 120, 80]).map(middle(0.3)), 3);
  assert.ok(wild.gain > 0.05 && wild.sureGain < 0, `${wild.sureGain}`);
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
const HOUR_MS = 3_600_000;
/** Compute takes far longer than the links. */
const SLOW = 100;

interface Moment {
  /** Milliseconds a layer, by stage. */
  ms: readonly number[];
  sessions?: number;
  key?: string;
  version?: number;
}

/** Looks every 5 s for so long, until a change is due: when that was. */
function dueAfter(
  forMs: number,
  at: (nowMs: number) => Moment,
): number | undefined {
  let history = NO_MOVES;
  for (let nowMs = 0; nowMs <= forMs; nowMs += MOVE.lookMs) {
    const { ms, sessions = 3, key = "same", version = 0 } = at(nowMs);
    const holders = nodes(ms.map((one) => SLOW * one));
    const sight = { nowMs, key, version, sessions, afterMs, holders };
    history = seeNow(history, sight);
    const steadied = holders.map((a) => steady(a, history));
    const plan = planCut(question(steadied, history.sessions));
    history = seeGain(history, "reason" in plan ? undefined : plan);
    if (isDue(history, afterMs)) return nowMs;
  }
  return undefined;
}

/** Machines that work all the time: a time of each is announced every 20 s, anywhere within so much of the true one. */
function measured(
  seed: number,
  vary: number,
  at: (nowMs: number) => Moment,
): (nowMs: number) => Moment {
  const random = new Random(seed, "times");
  let factors: number[] = [];
  return (nowMs) => {
    const moment = at(nowMs);
    if (nowMs % 20_000 === 0)
      factors = moment.ms.map(
        () => 1 + vary * ((2 * random.next()) / 2 ** 32 - 1),
      );
    return { ...moment, ms: moment.ms.map((ms, i) => ms * factors[i]!) };
  };
}

const SEEDS = [1, 2, 3];

test("machines alike are not moved in an hour, although their times vary by 30 %, with few sessions and with many", () => {
  for (const seed of SEEDS)
    for (const sessions of [1, 3, 12]) {
      const alike = measured(seed, 0.3, () => ({ ms: [1, 1, 1], sessions }));
      const due = dueAfter(HOUR_MS, alike);
      assert.equal(due, undefined, `seed ${seed}, ${sessions} sessions`);
    }
});

test("machines that differ a little are not moved either: it would not be worth it", () => {
  for (const seed of SEEDS) {
    const ms = [1.08, 1, 0.95];
    const due = dueAfter(
      HOUR_MS,
      measured(seed, 0.1, () => ({ ms })),
    );
    assert.equal(due, undefined, `seed ${seed}`);
  }
});

test("a machine that is slow for a minute at times, because something else computes there, is like the others", () => {
  const due = dueAfter(
    HOUR_MS,
    measured(1, 0.1, (nowMs) => {
      const isBusy = nowMs % 300_000 < 60_000;
      return { ms: [1, isBusy ? 5 : 1, 1] };
    }),
  );
  assert.equal(due, undefined);
});

test("one that is twice as slow or fast is moved within the hour, although times vary by 30 %, and soon where they vary little", () => {
  for (const seed of SEEDS)
    for (const one of [0.5, 2])
      for (const sessions of [1, 3, 12]) {
        const at = () => ({ ms: [1, one, 1], sessions });
        const name = `seed ${seed}, ${one}, ${sessions} sessions`;
        const due = dueAfter(HOUR_MS, measured(seed, 0.3, at));
        assert.notEqual(due, undefined, name);
        const soon = dueAfter(HOUR_MS, measured(seed, 0.05, at));
        assert.ok(soon! <= afterMs + 30_000, `${name}: ${soon}`);
      }
});

test("a machine that becomes slow is moved once it was so for long; who comes begins that anew", () => {
  const apart = measured(1, 0.05, () => ({ ms: [4, 2, 1] }));
  const came = dueAfter(HOUR_MS, (nowMs) => ({
    ...apart(nowMs),
    key: nowMs < 100_000 ? "before" : "after",
  }));
  assert.equal(came, 100_000 + afterMs);
  const becomes = measured(1, 0.05, (nowMs) => ({
    ms: [nowMs < 600_000 ? 1 : 8, 1, 1],
  }));
  const slowed = dueAfter(HOUR_MS, becomes);
  // It is surely slow once it was so for three quarters of the times that count.
  assert.ok(slowed! >= 600_000 + afterMs, `${slowed}`);
  assert.ok(slowed! <= 600_000 + 2 * afterMs, `${slowed}`);
});

test("a time that was measured long ago, in a busy moment, moves nothing: only work counts", () => {
  const at = measured(1, 0.05, () => ({ ms: [1, 4, 1] }));
  // It computes for a minute, and not again.
  const idle = dueAfter(HOUR_MS, (nowMs) => at(Math.min(nowMs, 55_000)));
  assert.equal(idle, undefined);
  // For a minute in each five: three minutes of work take eleven and a half.
  const seldom = measured(1, 0.05, () => ({ ms: [1, 4, 1] }));
  const due = dueAfter(HOUR_MS, (nowMs) => {
    const begunMs = nowMs - (nowMs % 300_000);
    return seldom(Math.min(nowMs, begunMs + 55_000));
  });
  assert.ok(due! > 2 * 300_000 && due! < 4 * 300_000, `${due}`);
});

test("after a change the next one is half an hour away, after a second one an hour", () => {
  for (const [version, restMs] of [
    [1, 10 * afterMs],
    [2, 20 * afterMs],
    [30, 160 * afterMs],
  ] as const) {
    const at = measured(1, 0.05, () => ({ ms: [4, 2, 1], version }));
    assert.equal(dueAfter(restMs + HOUR_MS, at), restMs);
  }
});

test("after the change nothing better is left to do", () => {
  const { better } = planOf(nodes([4, 2, 1]), 3);
  const cut = { version: 1, ranges: better.ranges };
  const again = planCut(question(nodes([4, 2, 1], {}, cut), 3, cut));
  if ("reason" in again) assert.fail(again.reason);
  assert.equal(again.gain, 0);
  assert.deepEqual(again.now.ranges, better.ranges);
});

test("sessions at once are an average over the times with any: one burst is not a load, and a quiet night not none", () => {
  const sight = { key: "", version: 0, afterMs, holders: [] };
  let history = seeNow(NO_MOVES, { ...sight, nowMs: 0, sessions: 1 });
  assert.equal(history.sessions, 1);
  history = seeNow(history, { ...sight, nowMs: 2_000, sessions: 31 });
  assert.ok(history.sessions < 2.1, `${history.sessions}`);
  for (let nowMs = 4_000; nowMs < 400_000; nowMs += 2_000)
    history = seeNow(history, { ...sight, nowMs, sessions: 31 });
  assert.ok(history.sessions > 30.5);
  history = seeNow(history, { ...sight, nowMs: HOUR_MS, sessions: 0 });
  assert.ok(history.sessions > 30.5);
  const times = { layerCount: 1, isShard: () => true, costOf: () => 1 };
  const range = { layerStart: 0, layerEnd: 1 };
  const stage = { range, fixedMs: 0, msPerCost: 2, share: 1 };
  const stages = [{ ...stage, fits: () => true }];
  const of = (sessions: number) =>
    cutTimes({ ...times, stages, wireMs: 1, sessions }, []).msPerToken;
  assert.deepEqual([of(1), of(3)], [3, 6]);
});
