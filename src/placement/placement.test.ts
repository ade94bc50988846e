/** Which shard a node takes, and why. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Holder } from "./coverage.ts";
import {
  fits,
  holder,
  place,
  planOf,
  PLENTY,
} from "../../test/fakes/placement.ts";

const choices: readonly {
  name: string;
  weights: number[];
  holders: Holder[];
  capacity?: { freeMemoryBytes: number };
  expected: number;
  reason: RegExp;
}[] = [
  {
    name: "a shard without holder comes first",
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
    name: "a draining node covers nothing",
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
    name: "this node's own announcements are not counted",
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
    name: "a range that ends inside a shard covers none: no shard of the plan continues from there",
    weights: [1, 1],
    holders: [holder("a", 0, { layerEnd: 3 }), holder("b", 1)],
    expected: 0,
    reason: /^nobody holds/,
  },
  {
    name: "the largest shard without holder: a smaller machine can still take the small one",
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
    name: "a held shard, if the ones without holder do not fit, with that reason",
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
    name: "among equally rare ones the one whose holder is not ready yet",
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
    name: "an unmeasured stage is judged by its weight and the others' speed",
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
    /it needs 3\.25 GiB \(weights 3\.00 GiB, KV of 2 × 1024 tokens 2\.00 MiB, engine 256\.0 MiB\) of 900\.0 GiB/,
  );
});

test("a machine one byte too small gets no shard, and learns what would help", () => {
  const { freeMemoryBytes } = fits(1);
  const plan = planOf(2, 1);
  assert.equal(place(plan, [], { freeMemoryBytes }).shard?.index, 1);
  const none = place(plan, [], { freeMemoryBytes: freeMemoryBytes - 2 });
  assert.ok(none.shard === undefined);
  assert.equal(none.error.code, "MEMORY_INSUFFICIENT");
  assert.match(none.error.message, /the smallest, 1, needs 1\.25 GiB/);
});

test("without a plan there is nothing to take", () => {
  const none = place([], []);
  assert.ok(none.shard === undefined);
  assert.equal(none.error.code, "MODEL_SHARDS");
});

test("nodes that start at once spread over equal shards", () => {
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
