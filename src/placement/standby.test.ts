/** Standbys, and take-overs from disk: who loads what, when, and when it is given back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  fits,
  GiB,
  holder as holderOf,
  planOf,
  room,
} from "../../test/fakes/placement.ts";
import type { Holder } from "./coverage.ts";
import {
  COPIES,
  type CoverageHistory,
  NO_HISTORY,
  observeCoverage,
} from "./coverage-history.ts";
import {
  ADOPTION,
  shouldGiveBack,
  STANDBY,
  standbys,
  takeOvers,
} from "./take-over.ts";

const shards = planOf(1, 1, 1);
const ON_DISK = { onDisk: [[4, 6]] };
const TAKEN = { takenOver: true };

/** With room for two more shards, and in favour of standbys. */
function holder(
  peer: string,
  shard: number,
  changes: Partial<Holder> = {},
): Holder {
  const capacity = { freeMemoryBytes: 4 * GiB };
  return holderOf(peer, shard, { capacity, standby: true, ...changes });
}

const swarm = (announcements: Holder[], nowMs: number) => ({
  manifest: "m",
  shards,
  announcements,
  nowMs,
  ...room,
});

const from = (announcements: Holder[]): CoverageHistory =>
  observeCoverage(NO_HISTORY, swarm(announcements, 0));

/** Who loads which shard, after the cluster has looked like this for so long. */
function loads(
  of: typeof standbys,
  announcements: Holder[],
  waitedMs: number,
  history = from(announcements),
): [shard: number, peer: string][] {
  const now = observeCoverage(history, swarm(announcements, 0));
  return of({ ...swarm(announcements, waitedMs), history: now }).map(
    ({ shard, peer }) => [shard.index, peer],
  );
}

/** Shard 2 has one holder, the others have two. */
const rare = (a: Partial<Holder> = {}, b: Partial<Holder> = {}): Holder[] => [
  holder("a", 0, a),
  holder("b", 1, b),
  holder("c", 2, { standby: false }),
  holder("d", 0, { capacity: undefined }),
  holder("e", 1, { capacity: undefined }),
];

test("a shard with one holder is loaded by a node that has it on disk, after 10 s, and else by one with room, after a minute", () => {
  const disk = rare({}, ON_DISK);
  assert.deepEqual(loads(standbys, disk, STANDBY.onDiskMs - 1), []);
  assert.deepEqual(loads(standbys, disk, STANDBY.onDiskMs), [[2, "b"]]);
  const none = rare({ capacity: { freeMemoryBytes: 5 * GiB } });
  assert.deepEqual(loads(standbys, none, STANDBY.fetchMs - 1), []);
  assert.deepEqual(loads(standbys, none, STANDBY.fetchMs), [[2, "a"]]);
});

test("of shards that two hold, or one holds and one loads, nobody loads a standby", () => {
  const two = [...rare(ON_DISK), holder("f", 2)];
  assert.deepEqual(loads(standbys, two, 1e6), []);
  const loading = [...rare(ON_DISK), holder("f", 2, { state: "loading" })];
  assert.deepEqual(loads(standbys, loading, 1e6), []);
});

test("a shard whose only holder's engine is down gets a standby too", () => {
  const down = rare(ON_DISK).map((a) =>
    a.peer === "c" ? { ...a, state: "loading" as const } : a,
  );
  assert.deepEqual(loads(standbys, down, STANDBY.onDiskMs), [[2, "a"]]);
});

const never: readonly [name: string, Partial<Holder>][] = [
  ["does not want to", { standby: undefined }],
  ["has no room", { capacity: fits(0.9) }],
  ["is loading another shard", { state: "loading" }],
  ["is leaving", { state: "draining" }],
];
for (const [name, changes] of never) {
  test(`a node that ${name} loads no standby`, () => {
    const all = rare({ ...ON_DISK, ...changes }, { standby: undefined });
    assert.deepEqual(loads(standbys, all, 1e6), []);
  });
}

test("the next one does it where the first has not begun for 15 s", () => {
  const disk = rare(ON_DISK, { ...ON_DISK, capacity: fits(2) });
  assert.deepEqual(loads(standbys, disk, STANDBY.onDiskMs + 14_999), [
    [2, "a"],
  ]);
  assert.deepEqual(loads(standbys, disk, STANDBY.onDiskMs + 15_000), [
    [2, "a"],
    [2, "b"],
  ]);
});

// ---- lost shards

/** Shard 2 has nobody. */
const lost = (a: Partial<Holder> = {}, b: Partial<Holder> = {}): Holder[] =>
  rare(a, b).filter(({ peer }) => peer !== "c");

test("a lost shard is taken over at once by a node that has it on disk, and after 30 s by one that does not", () => {
  const before = from(rare());
  assert.deepEqual(loads(takeOvers, lost({}, ON_DISK), 0, before), [[2, "b"]]);
  assert.deepEqual(
    loads(takeOvers, lost(), ADOPTION.uncoveredMs - 1, before),
    [],
  );
  assert.equal(
    loads(takeOvers, lost(), ADOPTION.uncoveredMs, before).length,
    1,
  );
});

test("a shard that nobody has held yet is not lost: its node may be on its way", () => {
  assert.deepEqual(loads(takeOvers, lost(ON_DISK), 0), []);
  assert.deepEqual(loads(takeOvers, lost(ON_DISK), ADOPTION.uncoveredMs), [
    [2, "a"],
  ]);
});

test("who must give a standby back for it comes after those with room, and says which", () => {
  const full = { capacity: { freeMemoryBytes: 0 }, standby: true };
  const standbyOf1 = holder("a", 1, { ...full, ...TAKEN });
  const all = [...lost(full, full), standbyOf1];
  const history = from(rare());
  const [one, ...others] = takeOvers({
    ...swarm(all, 1e6),
    history: from(all),
  });
  assert.deepEqual(others, []);
  assert.equal(one?.peer, "a");
  assert.deepEqual(
    one.gives.map(({ index }) => index),
    [1],
  );
  const free = all.map((a) =>
    a.peer === "b" ? { ...a, capacity: { freeMemoryBytes: 4 * GiB } } : a,
  );
  assert.deepEqual(loads(takeOvers, free, ADOPTION.uncoveredMs, history), [
    [2, "b"],
  ]);
});

test("the only copy of another shard is not given back for it", () => {
  const full = { capacity: { freeMemoryBytes: 0 } };
  const all = [holder("a", 0, full), holder("a", 1, { ...full, ...TAKEN })];
  assert.deepEqual(loads(takeOvers, all, 1e6), []);
});

// ---- giving back

function givers(announcements: Holder[], waitedMs: number): string[] {
  const input = { ...swarm(announcements, waitedMs), standby: true };
  const history = from(announcements);
  return announcements
    .filter((a) => a.takenOver === true)
    .map(({ peer }) => peer)
    .filter((peer) => {
      const mine = { ...input, history, peer, shard: shards[2]! };
      return shouldGiveBack(mine) !== undefined;
    });
}

test("a standby is kept while it is one of two, and given back a minute after a third is ready", () => {
  const two = [holder("a", 2, TAKEN), holder("c", 2)];
  assert.deepEqual(givers(two, 1e6), []);
  const three = [...two, holder("d", 2)];
  assert.deepEqual(givers(three, ADOPTION.coveredMs - 1), []);
  assert.deepEqual(givers(three, ADOPTION.coveredMs), ["a"]);
});

test("of two standbys that are too many one goes first", () => {
  const four = [
    holder("a", 2, TAKEN),
    holder("b", 2, TAKEN),
    holder("c", 2),
    holder("d", 2),
  ];
  assert.equal(givers(four, 1e6).length, 1);
});

test("two nodes began at once: the later one drops its copy before it is loaded", () => {
  const loading = { ...TAKEN, state: "loading" as const };
  const all = [
    holder("a", 2, loading),
    holder("b", 2, loading),
    holder("c", 2),
  ];
  assert.equal(givers(all, 0).length, 1);
});

test("property: standbys come and go until each shard has what it can have, and then nothing changes", () => {
  const machines = fc.array(
    fc.record({
      shard: fc.nat({ max: 2 }),
      freeGiB: fc.double({ min: 0, max: 5, noNaN: true }),
      standby: fc.boolean(),
      onDisk: fc.boolean(),
    }),
    { minLength: 1, maxLength: 7 },
  );
  fc.assert(
    fc.property(machines, (all) => {
      const costs = 1.5 * GiB; // more than a shard needs
      const own = all.map(({ shard }, i) => ({ peer: `p${i}`, shard }));
      const extra: { peer: string; shard: number }[] = [];
      const told = (): Holder[] =>
        [...own, ...extra].map(({ peer, shard }, i) => {
          const machine = all[Number(peer.slice(1))]!;
          const used = extra.filter((e) => e.peer === peer).length * costs;
          const free = Math.max(0, machine.freeGiB * GiB - used);
          return holderOf(peer, shard, {
            capacity: { freeMemoryBytes: free },
            standby: machine.standby || undefined,
            onDisk: machine.onDisk ? [[0, 6]] : [],
            takenOver: i >= own.length,
          });
        });
      let history = NO_HISTORY;
      let changedMs = 0;
      for (let nowMs = 0; nowMs < 1_200_000; nowMs += 2_000) {
        const input = swarm(told(), nowMs);
        history = observeCoverage(history, input);
        const now = { ...input, history };
        for (const one of [...takeOvers(now), ...standbys(now)]) {
          extra.push({ peer: one.peer, shard: one.shard.index });
          changedMs = nowMs;
        }
        for (const one of extra.toReversed()) {
          const shard = shards[one.shard]!;
          const standby = all[Number(one.peer.slice(1))]!.standby;
          const why = shouldGiveBack({
            ...now,
            peer: one.peer,
            shard,
            standby,
          });
          if (why === undefined) continue;
          extra.splice(extra.indexOf(one), 1);
          changedMs = nowMs;
        }
      }
      assert.ok(changedMs < 600_000, `still changing after ${changedMs} ms`);
      // No standby beyond what is wanted.
      for (const { index } of shards) {
        const owners = own.filter((o) => o.shard === index).length;
        const standing = extra.filter((e) => e.shard === index).length;
        assert.ok(standing <= Math.max(0, COPIES - owners));
      }
    }),
  );
});
