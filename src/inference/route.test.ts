import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { type Candidate, layersOf, planRoute } from "./route.ts";

function holder(
  peer: string,
  layerStart: number,
  layerEnd: number,
  changes: Partial<Candidate> = {},
): Candidate {
  return {
    peer,
    layerStart,
    layerEnd,
    addresses: [],
    freeSessions: 4,
    ...changes,
  };
}
const peers = (route: readonly Candidate[] | undefined): string[] | undefined =>
  route?.map(({ peer }) => peer);

const cases: [
  name: string,
  candidates: Candidate[],
  expected: string[] | undefined,
][] = [
  [
    "one node with the whole model is the shortest route",
    [holder("a", 0, 4), holder("b", 4, 8), holder("all", 0, 8)],
    ["all"],
  ],
  [
    "stages chain from the first layer to the last",
    [holder("b", 4, 8), holder("a", 0, 4)],
    ["a", "b"],
  ],
  ["a gap is not a route", [holder("a", 0, 3), holder("b", 4, 8)], undefined],
  [
    "a range cannot be entered in its middle",
    [holder("a", 0, 5), holder("b", 4, 8)],
    undefined,
  ],
  [
    "the measured faster holder is taken",
    [
      holder("slow", 0, 8, { msPerToken: 50 }),
      holder("fast", 0, 8, { msPerToken: 5 }),
    ],
    ["fast"],
  ],
  [
    "a holder without a free session is the last resort",
    [
      holder("full", 0, 8, { freeSessions: 0 }),
      holder("a", 0, 4),
      holder("b", 4, 8),
    ],
    ["a", "b"],
  ],
  [
    "but better than none",
    [holder("full", 0, 8, { freeSessions: 0 })],
    ["full"],
  ],
  [
    "ranges past the last layer are not of this model",
    [holder("a", 0, 9)],
    undefined,
  ],
  ["nobody is no route", [], undefined],
];
for (const [name, candidates, expected] of cases) {
  test(name, () => assert.deepEqual(peers(planRoute(candidates, 8)), expected));
}

test("a planned route is the cheapest of all, for random holders", () => {
  const random = new Random(7);
  for (let round = 0; round < 300; round++) {
    const candidates = Array.from({ length: 1 + random.below(7) }, (_, i) => {
      const start = random.below(5);
      return holder(`${i}`, start, start + 1 + random.below(5 - start), {
        msPerToken: 1 + random.below(20),
        freeSessions: 1,
      });
    });
    const best = cheapest(candidates, 0, 5);
    const route = planRoute(candidates, 5);
    assert.equal(route === undefined ? Infinity : cost(route), best);
  }
});

function cost(route: readonly Candidate[]): number {
  return route.reduce((sum, { msPerToken = 0 }) => sum + 1 + msPerToken, 0);
}

/** Every chain there is. */
function cheapest(
  candidates: readonly Candidate[],
  layer: number,
  layers: number,
): number {
  if (layer === layers) return 0;
  return Math.min(
    Infinity,
    ...candidates
      .filter((c) => c.layerStart === layer)
      .map((c) => cost([c]) + cheapest(candidates, c.layerEnd, layers)),
  );
}

test("layers are named as people count", () => {
  assert.equal(layersOf({ layerStart: 2, layerEnd: 4 }), "layers 2-3");
  assert.equal(layersOf({ layerStart: 2, layerEnd: 3 }), "layer 2");
});
