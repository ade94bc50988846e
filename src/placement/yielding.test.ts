/** Nodes that started together and took the same shard: which of them moves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { coverageOf, type Holder, isUncovered } from "./coverage.ts";
import {
  fits,
  holder,
  place,
  planOf,
  PLENTY,
  room,
} from "../../test/fakes/placement.ts";
import { shouldYield } from "./placement.ts";
import type { PlanShard } from "./shard-needs.ts";

const yieldOf = (shards: PlanShard[], announcements: Holder[], peer: string) =>
  shouldYield({ manifest: "m", shards, announcements, peer, ...room });

test("two nodes that took the same shard: exactly one moves to a shard without holder", () => {
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
    name: "it is ready already: take-over does the rest",
    announcements: [holder("a", 0), holder("b", 0)],
  },
  {
    name: "the shard without holder does not fit",
    weights: [1, 9],
    announcements: ["a", "b"].map((peer) =>
      holder(peer, 0, { state: "joining", capacity: fits(1) }),
    ),
  },
  {
    name: "no node announced its memory",
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

test("if a node is ready, all others that load its shard may move", () => {
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

test("of two, the one that fits elsewhere moves", () => {
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

test("property: nodes that started together without knowing each other spread in one round, and then nobody moves", () => {
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
