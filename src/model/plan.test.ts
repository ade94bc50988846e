import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { planLayers, type LayerRange, type PlannedModel } from "./plan.ts";

function modelOf(
  layers: readonly number[],
  embedding = 0,
  output = 0,
  tied = false,
): PlannedModel {
  return {
    layerCount: layers.length,
    tied,
    parts: [
      { id: "metadata", sizeBytes: 1000 },
      { id: "embedding", sizeBytes: embedding },
      ...layers.map((sizeBytes, i) => ({ id: `layer.${i}`, sizeBytes })),
      { id: "output", sizeBytes: output },
    ],
  };
}

/** Bytes of each shard, by the definition. */
function weights(model: PlannedModel, plan: readonly LayerRange[]): number[] {
  const size = (id: string): number =>
    model.parts.find((part) => part.id === id)?.sizeBytes ?? 0;
  return plan.map(({ layerStart, layerEnd }) => {
    let sum = layerStart === 0 ? size("embedding") : 0;
    for (let i = layerStart; i < layerEnd; i++) sum += size(`layer.${i}`);
    if (layerEnd === model.layerCount)
      sum += size("output") + (model.tied ? size("embedding") : 0);
    return sum;
  });
}

function* allPlans(
  start: number,
  layerCount: number,
  shards: number,
): Generator<LayerRange[]> {
  if (shards === 1) {
    yield [{ layerStart: start, layerEnd: layerCount }];
    return;
  }
  for (
    let layerEnd = start + 1;
    layerEnd <= layerCount - shards + 1;
    layerEnd++
  ) {
    for (const rest of allPlans(layerEnd, layerCount, shards - 1))
      yield [{ layerStart: start, layerEnd }, ...rest];
  }
}

const squares = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value ** 2, 0);

const CASES: readonly [
  what: string,
  model: PlannedModel,
  shards: number,
  layers: number[],
][] = [
  [
    "equal layers are distributed evenly",
    modelOf(Array(8).fill(100)),
    4,
    [2, 2, 2, 2],
  ],
  [
    "a remainder goes to the first shards",
    modelOf(Array(8).fill(100)),
    3,
    [3, 3, 2],
  ],
  ["one shard takes all", modelOf(Array(5).fill(100), 50, 50), 1, [5]],
  ["as many shards as layers", modelOf([1, 900, 1]), 3, [1, 1, 1]],
  [
    "the embedding counts to the first shard",
    modelOf(Array(8).fill(100), 200),
    2,
    [3, 5],
  ],
  [
    "the head counts to the last shard",
    modelOf(Array(8).fill(100), 0, 200),
    2,
    [5, 3],
  ],
  [
    "a tied head counts the embedding again",
    modelOf(Array(8).fill(100), 200, 0, true),
    2,
    [4, 4],
  ],
  [
    "the others are even beside a heavy first shard",
    modelOf(Array(9).fill(100), 5000),
    5,
    [1, 2, 2, 2, 2],
  ],
];

for (const [what, model, shards, expected] of CASES) {
  test(what, () => {
    const plan = planLayers(model, shards);
    assert.deepEqual(
      plan.map((range) => range.layerEnd - range.layerStart),
      expected,
    );
  });
}

test("no plan has a smaller largest shard, and none with the same largest shard is more even", () => {
  const random = new Random(11);
  for (let i = 0; i < 300; i++) {
    const layers = Array.from(
      { length: 1 + random.below(9) },
      () => 1 + random.below(1000),
    );
    const model = modelOf(
      layers,
      random.below(3000),
      random.below(3000),
      random.below(2) === 0,
    );
    const shards = 1 + random.below(layers.length);
    const plan = planLayers(model, shards);
    const found = weights(model, plan);
    const others = [...allPlans(0, layers.length, shards)].map((other) =>
      weights(model, other),
    );
    const least = Math.min(...others.map((other) => Math.max(...other)));
    assert.equal(Math.max(...found), least);
    const evenest = Math.min(
      ...others.filter((other) => Math.max(...other) === least).map(squares),
    );
    assert.ok(squares(found) <= evenest * (1 + 1e-12));
    assert.deepEqual(planLayers(model, shards), plan);
  }
});

test("a plan covers every layer once, whatever the numbers", () => {
  for (const layerCount of [1, 2, 7, 64, 126]) {
    for (let shards = 1; shards <= layerCount; shards += 1 + (shards >> 2)) {
      const plan = planLayers(
        modelOf(Array(layerCount).fill(500e6), 1e9, 2e9),
        shards,
      );
      assert.equal(plan.length, shards);
      assert.equal(plan[0]?.layerStart, 0);
      assert.equal(plan.at(-1)?.layerEnd, layerCount);
      for (const [i, { layerStart, layerEnd }] of plan.entries()) {
        assert.ok(layerStart < layerEnd);
        if (i > 0) assert.equal(layerStart, plan[i - 1]?.layerEnd);
      }
    }
  }
});

for (const shards of [0, 9, -1, 2.5, NaN]) {
  test(`a model of 8 layers cannot be cut into ${shards} shards`, () => {
    assert.throws(() => planLayers(modelOf(Array(8).fill(1)), shards), {
      code: "MODEL_SHARDS",
      message: `a model of 8 layers can be cut into 1 to 8 shards, not ${shards}`,
    });
  });
}
