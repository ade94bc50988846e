import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { NodeState } from "./announcement.ts";
import { coverageOf, type Holder, isUncovered } from "./coverage.ts";
import { placeShard, shouldYield } from "./placement.ts";
import {
  MEMORY,
  needsOf,
  type PlanShard,
  planShards,
  usableBytes,
} from "./shard-needs.ts";

const GiB = 1024 ** 3;
const room = { contextLength: 1024, sessions: 2 };
const PLENTY = { freeMemoryBytes: 1000 * GiB };

/** Shards of two layers each, of these weights in GiB; 1 KiB of KV a token. */
function planOf(...weights: number[]): PlanShard[] {
  return weights.map((weight, index) => ({
    index,
    layerStart: index * 2,
    layerEnd: index * 2 + 2,
    weightBytes: weight * GiB,
    kvBytesPerToken: 1024,
  }));
}

function holder(
  peer: string,
  shard: number,
  changes: Partial<Holder> = {},
): Holder {
  return {
    peer,
    manifest: "m",
    layerStart: shard * 2,
    layerEnd: shard * 2 + 2,
    state: "ready",
    contextLength: room.contextLength,
    sessions: { active: 0, max: room.sessions },
    msPerToken: undefined,
    capacity: PLENTY,
    ...changes,
  };
}

/** Free memory that holds a shard of so many GiB, and no byte more. */
function fits(weight: number): { freeMemoryBytes: number } {
  const { totalBytes } = needsOf(planOf(weight)[0]!, room);
  return { freeMemoryBytes: Math.ceil(totalBytes / (1 - MEMORY.headroom)) };
}

const place = (
  shards: PlanShard[],
  announcements: Holder[],
  capacity = PLENTY,
  peer = "me",
) =>
  placeShard({ manifest: "m", shards, announcements, peer, capacity, ...room });

const choices: readonly {
  name: string;
  weights: number[];
  holders: Holder[];
  capacity?: { freeMemoryBytes: number };
  expected: number;
  reason: RegExp;
}[] = [
  {
    name: "what nobody holds comes first",
    weights: [1, 1, 1],
    holders: [holder("a", 0), holder("b", 2)],
    expected: 1,
    reason: /^nobody holds shard 1 \(layers 2 to 3\)/,
  },
  {
    name: "a claim covers",
    weights: [1, 1, 1],
    holders: [
      holder("a", 0, { state: "joining" }),
      holder("b", 2, { state: "downloading" }),
    ],
    expected: 1,
    reason: /^nobody holds/,
  },
  {
    name: "a node that drains covers nothing",
    weights: [1, 1],
    holders: [holder("a", 0, { state: "draining" }), holder("b", 1)],
    expected: 0,
    reason: /^nobody holds/,
  },
  {
    name: "a node that has left covers nothing",
    weights: [1, 1],
    holders: [holder("a", 0, { state: "gone" }), holder("b", 1)],
    expected: 0,
    reason: /^nobody holds/,
  },
  {
    name: "a holder of another model covers nothing",
    weights: [1, 1],
    holders: [holder("a", 0, { manifest: "other" }), holder("b", 1)],
    expected: 0,
    reason: /^nobody holds/,
  },
  {
    name: "what this node announced before is not counted",
    weights: [1, 1],
    holders: [holder("me", 0), holder("b", 1)],
    expected: 0,
    reason: /^nobody holds/,
  },
  {
    name: "a range of whole shards covers them all",
    weights: [1, 1, 1],
    holders: [holder("a", 0, { layerEnd: 4 })],
    expected: 2,
    reason: /^nobody holds/,
  },
  {
    name: "a range that ends inside a shard covers none: no shard of the plan goes on from there",
    weights: [1, 1],
    holders: [holder("a", 0, { layerEnd: 3 }), holder("b", 1)],
    expected: 0,
    reason: /^nobody holds/,
  },
  {
    name: "of what nobody holds the largest: a smaller machine can still take the small one",
    weights: [1, 3, 2],
    holders: [],
    expected: 1,
    reason: /^nobody holds/,
  },
  {
    name: "the largest that fits",
    weights: [1, 3, 2],
    holders: [],
    capacity: fits(2),
    expected: 2,
    reason: /nobody holds 1, too large for this machine$|^nobody holds shard 2/,
  },
  {
    name: "what is held, where what nobody holds does not fit, and it says so",
    weights: [1, 3],
    holders: [holder("a", 0)],
    capacity: fits(1),
    expected: 0,
    reason: /nobody holds 1, too large for this machine$/,
  },
  {
    name: "then the rarest",
    weights: [1, 1, 1],
    holders: [0, 0, 1, 2, 2].map((shard, i) => holder(`p${i}`, shard)),
    expected: 1,
    reason: /^1 node holds shard 1 .* the fewest/,
  },
  {
    name: "of equally rare ones that whose holder is not ready yet",
    weights: [1, 1],
    holders: [holder("a", 0), holder("b", 1, { state: "loading" })],
    expected: 1,
    reason: /^1 node holds shard 1 .*, not ready yet/,
  },
  {
    name: "then the slowest stage, as measured",
    weights: [1, 1, 1],
    holders: [5, 9, 7].map((msPerToken, i) =>
      holder(`p${i}`, i, { msPerToken }),
    ),
    expected: 1,
    reason: /slowest stage, about 9\.0 ms a token/,
  },
  {
    name: "a stage that nobody measured is judged by its weight and the others' pace",
    weights: [1, 2, 1],
    holders: [
      holder("a", 0, { msPerToken: 5 }),
      holder("b", 1),
      holder("c", 2, { msPerToken: 7 }),
    ],
    expected: 1,
    reason: /slowest stage/,
  },
  {
    name: "two holders share a stage's work",
    weights: [1, 1],
    holders: [
      holder("a", 0, { msPerToken: 9 }),
      holder("b", 0, { msPerToken: 9 }),
      holder("c", 1, { msPerToken: 5 }),
      holder("d", 1, { msPerToken: 10 }),
    ],
    expected: 0,
    reason: /about 4\.5 ms a token/,
  },
];

for (const { name, weights, holders, capacity, expected, reason } of choices) {
  test(`placement: ${name}`, () => {
    const placed = place(planOf(...weights), holders, capacity);
    assert.ok(placed.shard !== undefined);
    assert.equal(placed.shard.index, expected);
    assert.match(placed.reason, reason);
  });
}

test("the reason names every figure of the memory", () => {
  const placed = place(planOf(3), []);
  assert.ok(placed.shard !== undefined);
  assert.match(
    placed.reason,
    /it takes 3\.25 GiB \(weights 3\.00 GiB, KV of 2 × 1024 tokens 2\.00 MiB, engine 256\.0 MiB\) of 900\.0 GiB/,
  );
});

test("a machine one byte too small gets no shard, and hears what would help", () => {
  const { freeMemoryBytes } = fits(1);
  const plan = planOf(2, 1);
  assert.equal(place(plan, [], { freeMemoryBytes }).shard?.index, 1);
  const none = place(plan, [], { freeMemoryBytes: freeMemoryBytes - 2 });
  assert.ok(none.shard === undefined);
  assert.equal(none.error.code, "MEMORY_INSUFFICIENT");
  assert.match(none.error.message, /the smallest, 1, takes 1\.25 GiB/);
});

test("without a plan there is nothing to take", () => {
  const none = place([], []);
  assert.ok(none.shard === undefined);
  assert.equal(none.error.code, "MODEL_SHARDS");
});

test("nodes that start at once spread over what is alike", () => {
  const plan = planOf(...Array.from({ length: 8 }, () => 1));
  const taken = Array.from(
    { length: 800 },
    (_, i) => place(plan, [], PLENTY, `peer${i}`).shard?.index,
  );
  for (let shard = 0; shard < 8; shard++) {
    const times = taken.filter((index) => index === shard).length;
    assert.ok(times > 60 && times < 140, `shard ${shard}: ${times} of 800`);
  }
});

test("KV is as wide as the matrices of a layer say, apart or fused", () => {
  const tensor = (name: string, ...shape: number[]) => ({
    name,
    shape,
    type: "F32" as const,
    fileIndex: 0,
    offset: 0,
    sizeBytes: 0,
  });
  const part = (id: string, sizeBytes: number, tensors = [] as never[]) => ({
    id,
    sizeBytes,
    root: new Uint8Array(32),
    tensors,
  });
  const manifest = {
    version: 1 as const,
    name: "x",
    architecture: "llama",
    layerCount: 3,
    embeddingLength: 64,
    contextLength: 512,
    vocabSize: 100,
    quantization: "F32",
    tied: true,
    files: [],
    parts: [
      part("metadata", 1),
      part("embedding", 10),
      {
        ...part("layer.0", 100),
        tensors: [
          tensor("blk.0.attn_k.weight", 64, 16),
          tensor("blk.0.attn_v.weight", 64, 16),
        ],
      },
      {
        ...part("layer.1", 200),
        tensors: [
          tensor("blk.1.attn_qkv.weight", 64, 80),
          tensor("blk.1.attn_output.weight", 64, 64),
        ],
      },
      part("layer.2", 400),
      part("output", 1000),
    ],
  };
  const planned = planShards(manifest, [
    { layerStart: 0, layerEnd: 2 },
    { layerStart: 2, layerEnd: 3 },
  ]);
  assert.deepEqual(planned, [
    {
      index: 0,
      layerStart: 0,
      layerEnd: 2,
      weightBytes: 1 + 10 + 100 + 200,
      kvBytesPerToken: (16 + 16) * 2 + 16 * 2,
    },
    {
      index: 1,
      layerStart: 2,
      layerEnd: 3,
      weightBytes: 1 + 10 + 400 + 1000,
      kvBytesPerToken: 2 * 64 * 2,
    },
  ]);
});

// ---- what holds for every swarm

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

test("property: never beyond the memory, and never nothing where something fits", () => {
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
  /** Bytes of weights it reads in a millisecond, relative to the others. */
  speed: number;
}

/** What a placement is worth: shards held; then holders of the rarest; then the slowest stage's time (smaller is better). */
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

/** Nodes join one after the other, each loaded and measured before the next comes. */
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

test("property: machines of any size cover as many shards as can be covered, in whatever order they come", () => {
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

test("machines of up to twice the speed of others: covered and redundant as well as can be, and on average within 5 % of the best slowest stage", () => {
  // Who came first is not moved, so single swarms can be further off: a fast node that came early may sit where two slow ones would do.
  const random = seeded(7);
  const ratios: number[] = [];
  for (let i = 0; i < 500; i++) {
    const shards = planOf(
      ...Array.from(
        { length: 1 + Math.floor(random() * 4) },
        () => 0.97 + 0.06 * random(),
      ),
    );
    const machines = Array.from(
      { length: 1 + Math.floor(random() * 5) },
      () => ({ peer: String(random()), freeGiB: 8, speed: 2 ** random() }),
    );
    const worth = worthOf(shards, machines, joinOneByOne(shards, machines));
    const best = bestOfAll(shards, machines);
    assert.deepEqual(worth.slice(0, 2), best.slice(0, 2));
    if (machines.length >= shards.length) ratios.push(worth[2] / best[2]);
  }
  const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  assert.ok(mean <= 1.05, `mean ${mean}`);
});

/** The generator of Numerical Recipes: the same swarms every time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

// ---- nodes that started at once

const yieldOf = (shards: PlanShard[], announcements: Holder[], peer: string) =>
  shouldYield({ manifest: "m", shards, announcements, peer, ...room });

test("two nodes that took the same shard: exactly one goes to what nobody holds", () => {
  const shards = planOf(1, 1, 1);
  const both = ["a", "b"].map((peer) =>
    holder(peer, 0, { state: "downloading" }),
  );
  const third = holder("c", 1);
  const moves = ["a", "b"].map((peer) =>
    yieldOf(shards, [...both, third], peer),
  );
  const moved = moves.filter((move) => move !== undefined);
  assert.equal(moved.length, 1);
  assert.equal(moved[0]?.shard.index, 2);
  assert.match(
    moved[0]?.reason ?? "",
    /^others take layers 0 to 1 too: nobody holds shard 2/,
  );
  assert.equal(yieldOf(shards, [...both, third], "c"), undefined);
});

const stays: readonly {
  name: string;
  announcements: Holder[];
  weights?: number[];
}[] = [
  {
    name: "its shard is not taken by others",
    announcements: [holder("a", 0, { state: "loading" })],
  },
  {
    name: "nobody is missing anywhere",
    announcements: [
      holder("a", 0, { state: "loading" }),
      holder("b", 0, { state: "loading" }),
      holder("c", 1, { state: "joining" }),
    ],
  },
  {
    name: "it is ready already: adoption sees to the rest",
    announcements: [holder("a", 0), holder("b", 0)],
  },
  {
    name: "what nobody holds does not fit",
    weights: [1, 9],
    announcements: ["a", "b"].map((peer) =>
      holder(peer, 0, { state: "joining", capacity: fits(1) }),
    ),
  },
  {
    name: "nobody said how much memory it has",
    announcements: ["a", "b"].map((peer) =>
      holder(peer, 0, { state: "joining", capacity: undefined }),
    ),
  },
];

for (const { name, announcements, weights = [1, 1] } of stays) {
  test(`a node stays where it is: ${name}`, () => {
    for (const peer of ["a", "b"])
      assert.equal(yieldOf(planOf(...weights), announcements, peer), undefined);
  });
}

test("where a node is ready, all others on their way to its shard are free to go", () => {
  const announcements = [
    holder("r", 0),
    holder("a", 0, { state: "joining" }),
    holder("b", 0, { state: "joining" }),
  ];
  const to = ["a", "b"].map(
    (peer) => yieldOf(planOf(1, 1, 1), announcements, peer)?.shard.index,
  );
  assert.deepEqual(
    to.toSorted((x, y) => (x ?? 0) - (y ?? 0)),
    [1, 2],
  );
});

test("of two, the one that fits elsewhere goes", () => {
  for (const small of ["a", "b"]) {
    const announcements = ["a", "b"].map((peer) =>
      holder(peer, 0, {
        state: "joining",
        capacity: peer === small ? fits(1) : fits(2),
      }),
    );
    const shards = planOf(1, 2);
    assert.equal(yieldOf(shards, announcements, small), undefined);
    const other = small === "a" ? "b" : "a";
    assert.equal(yieldOf(shards, announcements, other)?.shard.index, 1);
  }
});

test("property: nodes that started at once and knew of nobody are spread in one round, and then nobody moves", () => {
  const starts = fc.record({
    shards: fc
      .array(fc.constantFrom(1, 1.02, 2), { minLength: 1, maxLength: 6 })
      .map((weights) => planOf(...weights)),
    ids: fc.uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 10,
    }),
  });
  fc.assert(
    fc.property(starts, ({ shards, ids }) => {
      const first = ids.map((peer) =>
        holder(peer, place(shards, [], PLENTY, peer).shard!.index, {
          state: "downloading",
        }),
      );
      const second = first.map((claim) => {
        const move = yieldOf(shards, first, claim.peer);
        return move === undefined ? claim : { ...claim, ...layersOf(move) };
      });
      const swarm = { manifest: "m", shards, announcements: second };
      const uncovered = coverageOf(swarm).filter((c) => isUncovered(c));
      assert.equal(uncovered.length, Math.max(0, shards.length - ids.length));
      for (const peer of ids)
        assert.equal(yieldOf(shards, second, peer), undefined);
    }),
  );
});

function layersOf({ shard }: { shard: PlanShard }): {
  layerStart: number;
  layerEnd: number;
} {
  return { layerStart: shard.layerStart, layerEnd: shard.layerEnd };
}
