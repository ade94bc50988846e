/** Properties of placement in every cluster, and how close it comes to the best possible placement. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Random } from "../../test/support/random.ts";
import type { NodeState } from "../status/index.ts";
import type { Holder } from "./coverage.ts";
import {
  GiB,
  holder,
  place,
  planOf,
  room,
} from "../../test/fakes/placement.ts";
import { needsOf, type PlanShard, usableBytes } from "./shard-needs.ts";

const STATES: readonly NodeState[] = [
  "joining",
  "downloading",
  "loading",
  "ready",
  "draining",
  "gone",
];

const anyPlan = fc
  .array(fc.double({ min: 0.01, max: 8, noNaN: true }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((weights) => planOf(...weights));

const anySwarm = anyPlan.chain((shards) =>
  fc.record({
    shards: fc.constant(shards),
    announcements: fc.array(
      fc
        .record({
          peer: fc.string({ minLength: 1, maxLength: 3 }),
          shard: fc.nat({ max: shards.length - 1 }),
          state: fc.constantFrom(...STATES),
          msPerToken: fc.option(fc.double({ min: 0, max: 100, noNaN: true }), {
            nil: undefined,
          }),
          free: fc.double({ min: 0, max: 20, noNaN: true }),
        })
        .map(({ peer, shard, state, msPerToken, free }) =>
          holder(peer, shard, {
            state,
            msPerToken,
            capacity: { freeMemoryBytes: free * GiB },
          }),
        ),
      { maxLength: 20 },
    ),
    capacity: fc
      .double({ min: 0, max: 12, noNaN: true })
      .map((free) => ({ freeMemoryBytes: free * GiB })),
  }),
);

test("property: never beyond the memory, and always something if something fits", () => {
  fc.assert(
    fc.property(anySwarm, ({ shards, announcements, capacity }) => {
      const usable = usableBytes(capacity.freeMemoryBytes);
      const placed = place(shards, announcements, capacity);
      if (placed.shard === undefined) {
        assert.equal(placed.error.code, "MEMORY_INSUFFICIENT");
        assert.ok(shards.every((s) => needsOf(s, room).totalBytes > usable));
      } else {
        assert.ok(needsOf(placed.shard, room).totalBytes <= usable);
      }
    }),
  );
});

test("property: never a shard that somebody holds while one that nobody holds fits", () => {
  fc.assert(
    fc.property(anySwarm, ({ shards, announcements, capacity }) => {
      const { shard } = place(shards, announcements, capacity);
      if (shard === undefined) return;
      const usable = usableBytes(capacity.freeMemoryBytes);
      const live = announcements.filter(
        (a) => a.peer !== "me" && a.state !== "gone" && a.state !== "draining",
      );
      const isHeld = (s: PlanShard): boolean =>
        live.some((a) => a.layerStart === s.layerStart);
      if (isHeld(shard)) {
        for (const other of shards)
          assert.ok(isHeld(other) || needsOf(other, room).totalBytes > usable);
      }
    }),
  );
});

test("property: the order of the records changes nothing", () => {
  fc.assert(
    fc.property(
      anySwarm.chain((swarm) =>
        fc.record({
          swarm: fc.constant(swarm),
          shuffled: fc.shuffledSubarray(swarm.announcements, {
            minLength: swarm.announcements.length,
          }),
        }),
      ),
      ({ swarm: { shards, announcements, capacity }, shuffled }) => {
        assert.deepEqual(
          place(shards, shuffled, capacity).shard,
          place(shards, announcements, capacity).shard,
        );
      },
    ),
  );
});

// ---- against every other way of placing the same nodes

interface Machine {
  peer: string;
  freeGiB: number;
  /** Bytes of weights it reads per millisecond, relative to the others. */
  speed: number;
}

/** The value of a placement: shards held; then holders of the rarest; then the slowest stage's time (smaller is better). */
function worthOf(
  shards: readonly PlanShard[],
  machines: readonly Machine[],
  where: readonly (number | undefined)[],
): [covered: number, rarest: number, slowestMs: number] {
  const counts = shards.map(
    (_, s) => where.filter((shard) => shard === s).length,
  );
  const slowestMs = Math.max(
    ...shards.map(({ weightBytes }, s) => {
      const speed = machines.reduce(
        (sum, machine, m) => sum + (where[m] === s ? machine.speed : 0),
        0,
      );
      return speed === 0 ? 0 : weightBytes / GiB / speed;
    }),
  );
  return [
    counts.filter((count) => count > 0).length,
    Math.min(...counts),
    slowestMs,
  ];
}

function better(
  a: ReturnType<typeof worthOf>,
  b: ReturnType<typeof worthOf>,
): boolean {
  return (a[0] - b[0] || a[1] - b[1] || b[2] - a[2]) > 0;
}

function fitsIn(shard: PlanShard, { freeGiB }: Machine): boolean {
  return needsOf(shard, room).totalBytes <= usableBytes(freeGiB * GiB);
}

function bestOfAll(
  shards: readonly PlanShard[],
  machines: readonly Machine[],
): ReturnType<typeof worthOf> {
  let best = worthOf(shards, machines, []);
  const where: (number | undefined)[] = [];
  const visit = (m: number): void => {
    const machine = machines[m];
    if (machine === undefined) {
      const worth = worthOf(shards, machines, where);
      if (better(worth, best)) best = worth;
      return;
    }
    for (const s of [undefined, ...shards.keys()]) {
      if (s !== undefined && !fitsIn(shards[s]!, machine)) continue;
      where[m] = s;
      visit(m + 1);
    }
  };
  visit(0);
  return best;
}

/** Nodes join one after the other, each loaded and measured before the next joins. */
function joinOneByOne(
  shards: readonly PlanShard[],
  machines: readonly Machine[],
): (number | undefined)[] {
  const announcements: Holder[] = [];
  return machines.map(({ peer, freeGiB, speed }) => {
    const capacity = { freeMemoryBytes: freeGiB * GiB };
    const { shard } = place([...shards], announcements, capacity, peer);
    if (shard === undefined) return undefined;
    const msPerToken = shard.weightBytes / GiB / speed;
    announcements.push(holder(peer, shard.index, { msPerToken }));
    return shard.index;
  });
}

const peers = fc.uniqueArray(fc.string({ minLength: 4, maxLength: 8 }), {
  minLength: 1,
  maxLength: 5,
});

test("property: machines of any size cover as many shards as possible, in any order of joining", () => {
  // Weights that are equal or clearly apart: those within `alikeMemory` count as alike on purpose.
  const plans = fc
    .array(fc.constantFrom(1, 1.5, 2, 3, 4), { minLength: 1, maxLength: 4 })
    .map((weights) => planOf(...weights));
  const swarms = peers.chain((ids) =>
    fc.record({
      shards: plans,
      machines: fc.tuple(
        ...ids.map((peer) =>
          fc
            .double({ min: 0.5, max: 6, noNaN: true })
            .map((freeGiB) => ({ peer, freeGiB, speed: 1 })),
        ),
      ),
    }),
  );
  fc.assert(
    fc.property(swarms, ({ shards, machines }) => {
      const worth = worthOf(shards, machines, joinOneByOne(shards, machines));
      assert.equal(worth[0], bestOfAll(shards, machines)[0]);
    }),
    { numRuns: 300 },
  );
});

test("property: machines alike, on a plan as even as plans are, come within 5 % of the best of all placements", () => {
  const plans = fc
    .array(fc.double({ min: 0.98, max: 1.02, noNaN: true }), {
      minLength: 1,
      maxLength: 4,
    })
    .map((weights) => planOf(...weights));
  const swarms = fc.record({ shards: plans, ids: peers });
  fc.assert(
    fc.property(swarms, ({ shards, ids }) => {
      const machines = ids.map((peer) => ({ peer, freeGiB: 8, speed: 1 }));
      const worth = worthOf(shards, machines, joinOneByOne(shards, machines));
      const best = bestOfAll(shards, machines);
      assert.deepEqual(worth.slice(0, 2), best.slice(0, 2));
      assert.ok(worth[2] <= best[2] * 1.05, `${worth[2]} ms, best ${best[2]}`);
    }),
    { numRuns: 300 },
  );
});

test("machines of up to twice the speed of others: coverage and redundancy as good as possible, and on average within 5 % of the best slowest stage", () => {
  // Running nodes are not moved, so single clusters can be further off: a fast node that joined early may hold what two slow ones could.
  const random = new Random(7);
  const ratios: number[] = [];
  for (let i = 0; i < 500; i++) {
    const shards = planOf(
      ...Array.from(
        { length: 1 + random.below(4) },
        () => 0.97 + 0.06 * random.fraction(),
      ),
    );
    const machines = Array.from({ length: 1 + random.below(5) }, () => ({
      peer: String(random.next()),
      freeGiB: 8,
      speed: 2 ** random.fraction(),
    }));
    const worth = worthOf(shards, machines, joinOneByOne(shards, machines));
    const best = bestOfAll(shards, machines);
    assert.deepEqual(worth.slice(0, 2), best.slice(0, 2));
    if (machines.length >= shards.length) ratios.push(worth[2] / best[2]);
  }
  const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  assert.ok(mean <= 1.05, `mean ${mean}`);
});
