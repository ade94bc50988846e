/** Routes by the clock: the cheapest cycle through the holders, against brute force; what is unknown, claimed or full; a thousand holders. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Random } from "../../test/support/random.ts";
import { ROUTING } from "./defaults.ts";
import {
  type Holder,
  planRoute,
  predict,
  type RoutePlan,
  hasRoute,
} from "./index.ts";
import { LinkTimes } from "./link-times.ts";
import { stageCosts } from "./plan-route.ts";

/** `near` are round trips to other holders, as it measured them. */
function holder(
  peer: string,
  layerStart: number,
  layerEnd: number,
  near: Record<string, number> = {},
  changes: Partial<Holder> = {},
): Holder {
  return {
    peer,
    layerStart,
    layerEnd,
    sessions: { active: 0, max: 4 },
    msPerToken: 5,
    links: Object.keys(near),
    roundTripsMs: Object.values(near),
    ...changes,
  };
}

const peers = (plan: RoutePlan | undefined): string[] | undefined =>
  plan?.stages.map(({ peer }) => peer);

const cases: [
  name: string,
  holders: Holder[],
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
  ["a gap is no route", [holder("a", 0, 3), holder("b", 4, 8)], undefined],
  [
    "a range cannot be entered in its middle",
    [holder("a", 0, 5), holder("b", 4, 8)],
    undefined,
  ],
  [
    "the measured faster holder is taken",
    [
      holder("slow", 0, 8, {}, { msPerToken: 50 }),
      holder("fast", 0, 8, {}, { msPerToken: 5 }),
    ],
    ["fast"],
  ],
  [
    "the nearer holder is taken",
    [
      holder("a", 0, 4, { far: 40, near: 10 }),
      holder("far", 4, 8),
      holder("near", 4, 8),
    ],
    ["a", "near"],
  ],
  [
    "a nearer holder may be slower",
    [
      holder("a", 0, 4, { far: 40, near: 10 }),
      holder("far", 4, 8, {}, { msPerToken: 1 }),
      holder("near", 4, 8, {}, { msPerToken: 20 }),
    ],
    ["a", "near"],
  ],
  [
    "but not by more than the way",
    [
      holder("a", 0, 4, { far: 40, near: 10 }),
      holder("far", 4, 8, {}, { msPerToken: 1 }),
      holder("near", 4, 8, {}, { msPerToken: 40 }),
    ],
    ["a", "far"],
  ],
  [
    "the link that closes the ring counts: three in one place, not the nearest next ones",
    [
      holder("a", 0, 2, { b: 1, c: 200 }),
      holder("b", 2, 6, { c: 1, d: 40 }),
      holder("c", 6, 8),
      holder("d", 6, 8, { a: 40 }),
    ],
    ["a", "b", "d"],
  ],
  [
    "also a first stage is chosen by the way back to it",
    [
      holder("far", 0, 4, { b: 80 }, { msPerToken: 1 }),
      holder("near", 0, 4, { b: 2 }, { msPerToken: 10 }),
      holder("b", 4, 8),
    ],
    ["near", "b"],
  ],
  [
    "one fast node is left for two that are far apart, and two near ones for a slow one",
    [
      holder("a", 0, 4, { b: 2 }),
      holder("b", 4, 8),
      holder("all", 0, 8, {}, { msPerToken: 20 }),
    ],
    ["a", "b"],
  ],
  [
    "a known slow link is not passed off as an unknown one",
    [
      holder("a", 0, 4, { b: 900 }),
      holder("b", 4, 8),
      holder("all", 0, 8, {}, { msPerToken: 100 }),
    ],
    ["all"],
  ],
  [
    "a holder without a free session is the last resort",
    [
      holder("full", 0, 8, {}, { sessions: { active: 4, max: 4 } }),
      holder("a", 0, 4, { b: 9_000 }),
      holder("b", 4, 8),
    ],
    ["a", "b"],
  ],
  [
    "but better than none",
    [holder("full", 0, 8, {}, { sessions: { active: 0, max: 0 } })],
    ["full"],
  ],
  [
    "each session that a stage has costs one of its decodes",
    [
      holder("busy", 0, 8, {}, { sessions: { active: 2, max: 4 } }),
      holder("idle", 0, 8, {}, { msPerToken: 14 }),
    ],
    ["idle"],
  ],
  [
    "two shards of one node need no link between them",
    [
      holder("a", 0, 4, { b: 1 }),
      holder("a", 4, 8),
      holder("b", 4, 8, {}, { msPerToken: 4.9 }),
    ],
    ["a", "a"],
  ],
  [
    "ranges past the last layer are not of this model",
    [holder("a", 0, 9)],
    undefined,
  ],
  ["nobody is no route", [], undefined],
];
for (const [name, holders, expected] of cases) {
  test(name, () => {
    assert.deepEqual(peers(planRoute(holders, 8)), expected);
    assert.equal(hasRoute(holders, 8), expected !== undefined);
  });
}

test("a prediction has the compute of each stage and the way to the next, also from the last to the first", () => {
  const holders = [
    holder("a", 0, 4, { b: 40 }, { msPerToken: 7 }),
    holder("b", 4, 6, { a: 40, c: 20 }, { msPerToken: 4 }),
    holder("c", 6, 8, { a: 10 }, { msPerToken: undefined }),
  ];
  const plan = planRoute(holders, 8);
  assert.ok(plan !== undefined);
  const { hopMs } = ROUTING;
  const parts = plan.prediction.stages.map((s) => [s.computeMs, s.wireMs]);
  // c was not measured: the middle of 7/4 and 4/2 a layer.
  assert.deepEqual(parts, [
    [7, 20 + hopMs],
    [4, 10 + hopMs],
    [4, 5 + hopMs],
  ]);
  assert.deepEqual(
    plan.prediction.stages.map((s) => [s.isComputeMeasured, s.isWireMeasured]),
    [
      [true, true],
      [true, true],
      [false, true],
    ],
  );
  const { msPerToken } = plan.prediction;
  assert.ok(Math.abs(msPerToken - (15 + 35 + 3 * hopMs)) < 1e-9);
});

test("one stage alone has no way to go", () => {
  const [stage] = predict([holder("a", 0, 8)]).stages;
  assert.equal(stage?.wireMs, 0);
});

test("sessions wait for each other only where one stage has more to do than a token's way takes", () => {
  const busy = { sessions: { active: 3, max: 4 } };
  const alone = predict([holder("a", 0, 8, {}, busy)]);
  assert.equal(alone.stages[0]?.queueMs, 3 * 5);
  // 4 sessions of 5 ms each: 20 ms a turn; the way takes 10 + 2 × (0.6 + 20).
  const far = predict([
    holder("a", 0, 4, { b: 40 }, busy),
    holder("b", 4, 8, {}, busy),
  ]);
  assert.deepEqual(
    far.stages.map(({ queueMs }) => queueMs),
    [0, 0],
  );
  const near = predict([
    holder("a", 0, 4, { b: 2 }, busy),
    holder("b", 4, 8, {}, { ...busy, msPerToken: 8 }),
  ]);
  const aloneMs = 13 + 2 * (1 + ROUTING.hopMs);
  assert.equal(near.stages[0]?.queueMs, 0);
  assert.ok(Math.abs((near.stages[1]?.queueMs ?? 0) - (32 - aloneMs)) < 1e-9);
  assert.ok(Math.abs(near.msPerToken - 32) < 1e-9);
});

test("an unmeasured link is estimated over a member that both ends measured, and else taken as a long one", () => {
  const route = [holder("a", 0, 4, { server: 3 }), holder("b", 4, 8)];
  const wire = (all: Holder[]): [number | undefined, boolean | undefined] => {
    const [stage] = predict(all.slice(0, 2), all).stages;
    return [stage?.wireMs, stage?.isWireMeasured];
  };
  const unknownMs = ROUTING.hopMs + ROUTING.unknownRoundTripMs / 2;
  assert.deepEqual(wire(route), [unknownMs, false]);
  route[1] = holder("b", 4, 8, { server: 9 });
  assert.deepEqual(wire(route), [ROUTING.hopMs + 6, false]);
});

test("no claim makes a route free", () => {
  const claims = { msPerToken: 0, sessions: { active: -5, max: 1e9 } };
  const lie = (msPerToken: number | null): RoutePlan => {
    const plan = planRoute(
      [
        holder("a", 0, 4, { liar: 30 }),
        holder("liar", 4, 8, { a: 1e-9 }, { ...claims, msPerToken }),
      ],
      8,
    );
    assert.ok(plan !== undefined);
    return plan;
  };
  for (const msPerToken of [0, -7, Number.NaN, -Infinity, null]) {
    const [honest, liar] = lie(msPerToken).prediction.stages;
    assert.ok((liar?.computeMs ?? 0) >= 4 * ROUTING.leastMsPerLayer);
    // What the other end measured counts.
    assert.equal(honest?.wireMs, ROUTING.hopMs + 15);
    assert.equal(liar?.wireMs, ROUTING.hopMs + 15);
  }
  const alone = predict([
    holder("x", 0, 4, { y: 1e-9 }),
    holder("y", 4, 8, { z: Infinity, x: Number.NaN }),
  ]);
  for (const { wireMs } of alone.stages)
    assert.equal(wireMs, ROUTING.hopMs + ROUTING.leastRoundTripMs / 2);
  assert.ok(Number.isFinite(lie(Infinity).prediction.msPerToken));
});

const LAYERS = 6;
const anyHolder = fc
  .record({
    peer: fc.constantFrom("a", "b", "c", "d", "e"),
    layerStart: fc.nat(LAYERS - 1),
    layers: fc.integer({ min: 1, max: LAYERS }),
    msPerToken: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
    active: fc.nat(4),
    near: fc.dictionary(
      fc.constantFrom("a", "b", "c", "d", "e", "server"),
      fc.integer({ min: 1, max: 120 }),
      { noNullPrototype: true },
    ),
  })
  .map(({ peer, layerStart, layers, msPerToken, active, near }) =>
    holder(peer, layerStart, Math.min(LAYERS, layerStart + layers), near, {
      msPerToken,
      sessions: { active, max: 4 },
    }),
  );

test("a planned route is the cheapest of all cycles", () => {
  let found = 0;
  fc.assert(
    fc.property(fc.array(anyHolder, { minLength: 1, maxLength: 9 }), (all) => {
      const best = Math.min(
        Infinity,
        ...cycles(all).map((c) => costOf(c, all)),
      );
      const plan = planRoute(all, LAYERS);
      assert.equal(plan !== undefined, best < Infinity);
      assert.equal(hasRoute(all, LAYERS), best < Infinity);
      if (plan === undefined) return;
      found++;
      const costMs = costOf(
        plan.stages.map((s) => all.indexOf(s)),
        all,
      );
      assert.ok(Math.abs(costMs - best) < 1e-6, `${costMs}, best ${best}`);
    }),
    { numRuns: 2_000, seed: 13 },
  );
  assert.ok(found > 200, `only ${found} had a route`);
});

/** Every chain from the first layer to the last. */
function cycles(all: readonly Holder[], from = 0): number[][] {
  if (from === LAYERS) return [[]];
  return all.flatMap((one, i) =>
    one.layerStart === from
      ? cycles(all, one.layerEnd).map((rest) => [i, ...rest])
      : [],
  );
}

function costOf(route: readonly number[], all: readonly Holder[]): number {
  const costs = stageCosts(all);
  const links = new LinkTimes(all);
  return route.reduce((sum, at, i) => {
    const next = route[(i + 1) % route.length]!;
    const wire =
      route.length === 1 ? 0 : links.between(all[at]!.peer, all[next]!.peer).ms;
    return sum + costs[at]! + wire;
  }, 0);
}

test("of a thousand holders, each with sixteen links, a route is planned in some milliseconds, and near ones are found", () => {
  const random = new Random(5);
  const SITES = 20;
  const all = Array.from({ length: 1_000 }, (_, i) => {
    const near: Record<string, number> = {};
    for (let k = 0; k < 16; k++) {
      const other = random.below(1_000);
      near[`p${other}`] = other % SITES === i % SITES ? 1 : 60;
    }
    const start = 8 * random.below(4);
    return holder(`p${i}`, start, start + 8, near, {
      msPerToken: 4 + random.below(10),
    });
  });
  const took: number[] = [];
  let plan: RoutePlan | undefined;
  for (let round = 0; round < 5; round++) {
    const startedMs = performance.now();
    plan = planRoute(all, 32);
    took.push(performance.now() - startedMs);
  }
  assert.equal(plan?.stages.length, 4);
  const sites = new Set(plan.stages.map(({ peer }) => +peer.slice(1) % SITES));
  assert.equal(sites.size, 1, `${[...sites].join(" ")}`);
  assert.ok(Math.min(...took) < 500, `${took.join(" ")} ms`);
});
