import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  type CoverageHistory,
  NO_HISTORY,
  observeCoverage,
} from "./coverage-history.ts";
import { ADOPTION, shouldGiveBack, takeOvers } from "./take-over.ts";
import type { Holder } from "./coverage.ts";
import {
  GiB,
  holder as holderOf,
  planOf,
  room,
} from "../../test/fakes/placement.ts";
import { needsOf, usableBytes } from "./shard-needs.ts";

const shards = planOf(1, 1, 1);

function holder(
  peer: string,
  shard: number,
  changes: Partial<Holder> & { freeGiB?: number } = {},
): Holder {
  const { freeGiB = 4, ...others } = changes;
  const capacity = { freeMemoryBytes: freeGiB * GiB };
  return holderOf(peer, shard, { capacity, ...others });
}

const swarm = (announcements: Holder[], nowMs: number) => ({
  manifest: "m",
  shards,
  announcements,
  nowMs,
  ...room,
});

/** The history of a cluster that has looked like this since `sinceMs`. */
const since = (announcements: Holder[], sinceMs = 0): CoverageHistory =>
  observeCoverage(NO_HISTORY, swarm(announcements, sinceMs));

function takers(
  announcements: Holder[],
  waitedMs: number = ADOPTION.uncoveredMs,
): Record<number, string> {
  const found = takeOvers({
    ...swarm(announcements, waitedMs),
    history: since(announcements),
  });
  return Object.fromEntries(found.map((a) => [a.shard.index, a.peer]));
}

const two = [holder("a", 0), holder("b", 1, { freeGiB: 5 })];

const cases: readonly {
  name: string;
  announcements: Holder[];
  waitedMs?: number;
  expected: Record<number, string>;
}[] = [
  {
    name: "the node with most room takes it over",
    announcements: two,
    expected: { 2: "b" },
  },
  {
    name: "not before it has had no holder for 30 s",
    announcements: two,
    waitedMs: 29_999,
    expected: {},
  },
  {
    name: "not while a node is loading it",
    announcements: [...two, holder("c", 2, { state: "downloading" })],
    expected: {},
  },
  {
    name: "the node with fewer shards comes before the one with more room",
    announcements: [
      holder("a", 0),
      holder("b", 1, { freeGiB: 9 }),
      holder("b", 0, { freeGiB: 9, takenOver: true }),
    ],
    expected: { 2: "a" },
  },
  {
    name: "nobody has room: nobody takes it over",
    announcements: [
      holder("a", 0, { freeGiB: 1 }),
      holder("b", 1, { freeGiB: 1.3 }),
    ],
    expected: {},
  },
  {
    name: "a node that does not announce its memory is skipped",
    announcements: [holder("a", 0, { capacity: undefined })],
    expected: {},
  },
  {
    name: "a node that is leaving, busy elsewhere, or of another model is skipped",
    announcements: [
      holder("a", 0, { state: "draining" }),
      holder("b", 1, { state: "loading" }),
      holder("c", 1, { manifest: "other" }),
      holder("d", 0, { freeGiB: 2 }),
    ],
    expected: { 2: "d" },
  },
  {
    name: "two shards without holder go to two nodes",
    announcements: [holder("a", 0), holder("b", 0, { freeGiB: 5 })],
    expected: { 1: "b", 2: "a" },
  },
  {
    name: "a node takes one at a time",
    announcements: [holder("a", 0, { freeGiB: 90 })],
    expected: { 1: "a" },
  },
];

for (const { name, announcements, waitedMs, expected } of cases) {
  test(`a take-over: ${name}`, () => {
    assert.deepEqual(takers(announcements, waitedMs), expected);
    assert.deepEqual(takers(announcements.toReversed(), waitedMs), expected);
  });
}

test("the reason names the duration and the node", () => {
  const history = since(two);
  const [takeOver] = takeOvers({ ...swarm(two, 42_000), history });
  assert.match(
    takeOver?.reason ?? "",
    /^nobody has held shard 2 \(layers 4 to 5\) for 42 s; .* 3\.25 GiB would stay free$/,
  );
});

test("a shard that somebody held in between starts to wait again", () => {
  const back = [...two, holder("c", 2, { state: "joining" })];
  let history = observeCoverage(NO_HISTORY, swarm(two, 0));
  history = observeCoverage(history, swarm(back, 20_000));
  history = observeCoverage(history, swarm(two, 25_000));
  assert.deepEqual(takeOvers({ ...swarm(two, 54_999), history }), []);
  assert.equal(takeOvers({ ...swarm(two, 55_000), history }).length, 1);
});

test("property: nobody takes over beyond its memory, and no shard twice", () => {
  const announcements = fc.array(
    fc
      .record({
        peer: fc.constantFrom("a", "b", "c", "d", "e"),
        shard: fc.nat({ max: 2 }),
        state: fc.constantFrom("ready", "loading", "draining"),
        freeGiB: fc.double({ min: 0, max: 6, noNaN: true }),
      })
      .map(({ peer, shard, ...others }) => holder(peer, shard, others)),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(announcements, (all) => {
      const history = since(all);
      const found = takeOvers({
        ...swarm(all, ADOPTION.uncoveredMs),
        history,
      });
      assert.equal(new Set(found.map((a) => a.shard.index)).size, found.length);
      assert.equal(new Set(found.map((a) => a.peer)).size, found.length);
      for (const { peer, shard } of found) {
        for (const { capacity } of all.filter((a) => a.peer === peer)) {
          const usable = usableBytes(capacity?.freeMemoryBytes ?? 0);
          assert.ok(needsOf(shard, room).totalBytes <= usable);
        }
        assert.ok(
          !all.some(
            (a) => a.layerStart === shard.layerStart && a.state !== "draining",
          ),
        );
      }
    }),
  );
});

// ---- giving back

const takenOver = holder("a", 2, { takenOver: true });
const giveBack = (
  announcements: Holder[],
  waitedMs: number,
): string | undefined => {
  const input = { ...swarm(announcements, waitedMs), standby: false };
  const history = observeCoverage(NO_HISTORY, { ...input, nowMs: 0 });
  return shouldGiveBack({ ...input, history, peer: "a", shard: shards[2]! });
};

const keeps: readonly [name: string, Holder[], waitedMs: number][] = [
  ["nobody else holds it", [takenOver], 1e6],
  [
    "the other is not ready",
    [takenOver, holder("b", 2, { state: "loading" })],
    1e6,
  ],
  [
    "the other took it over too",
    [takenOver, holder("b", 2, { takenOver: true })],
    1e6,
  ],
  [
    "the other is leaving",
    [takenOver, holder("b", 2, { state: "draining" })],
    1e6,
  ],
  [
    "the other has not been there for long",
    [takenOver, holder("b", 2)],
    ADOPTION.coveredMs - 1,
  ],
];

for (const [name, announcements, waitedMs] of keeps) {
  test(`a shard that was taken over is kept: ${name}`, () => {
    assert.equal(giveBack(announcements, waitedMs), undefined);
  });
}

test("a shard that was taken over is given back when others have held it for a minute", () => {
  const one = [takenOver, holder("b", 2)];
  assert.equal(
    giveBack(one, ADOPTION.coveredMs),
    "shard 2 has had another ready holder for 60 s",
  );
});

test("two nodes took over at once: one drops its copy before it is loaded", () => {
  const both = ["a", "b"].map((peer) =>
    holder(peer, 2, { takenOver: true, state: "downloading" }),
  );
  const at = { ...swarm(both, 0), standby: false };
  const input = { ...at, history: NO_HISTORY, shard: shards[2]! };
  const dropped = ["a", "b"].filter(
    (peer) => shouldGiveBack({ ...input, peer }) !== undefined,
  );
  assert.equal(dropped.length, 1);
});

test("a copy that is not loaded yet is dropped when somebody is ready", () => {
  const all = [
    holder("a", 2, { takenOver: true, state: "downloading" }),
    holder("b", 2),
  ];
  assert.equal(giveBack(all, 0), "b holds shard 2 or comes first");
});
