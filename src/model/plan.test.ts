import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import {
  checkRange,
  planLayers,
  shardCounts,
  type LayerRange,
  type PlannedModel,
} from "./plan.ts";

function modelOf(
  layers: readonly number[],
  embedding = 0,
  output = 0,
  tied = false,
): PlannedModel {
  return {
    layerCount: layers.length,
    tied,
    cuts: {
      borders: layers.map((_, i) => i).slice(1),
      needs: [],
      refusedLengths: [],
    },
    layerCosts: layers,
    parts: [
      { id: "metadata", sizeBytes: 1000 },
      { id: "embedding", sizeBytes: embedding },
      ...layers.map((sizeBytes, i) => ({ id: `layer.${i}`, sizeBytes })),
      { id: "output", sizeBytes: output },
    ],
  };
}

/** How uneven a plan is, by the definition: in bytes, and in what a token costs. */
function unevenness(
  model: PlannedModel,
  plan: readonly LayerRange[],
  limit: number,
): number {
  const cost = costs(model, plan);
  const mean = cost.reduce((sum, value) => sum + value, 0) / plan.length;
  return (
    squares(weights(model, plan).map((bytes) => bytes / limit)) +
    squares(cost.map((value) => value / (mean || 1)))
  );
}

/** What a token reads of each shard: its layers, and the head. */
function costs(model: PlannedModel, plan: readonly LayerRange[]): number[] {
  const embedding =
    model.parts.find(({ id }) => id === "embedding")?.sizeBytes ?? 0;
  return weights(model, plan).map((bytes, i) => {
    const { layerStart = 0, layerEnd = 0 } = plan[i] ?? {};
    const layers = model.parts.slice(2 + layerStart, 2 + layerEnd);
    const all = layers.reduce((sum, part) => sum + part.sizeBytes, 0);
    const read = model.layerCosts
      .slice(layerStart, layerEnd)
      .reduce((sum, value) => sum + value, 0);
    return bytes - all + read - (layerStart === 0 ? embedding : 0);
  });
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
  let planned = 0;
  for (let i = 0; i < 400; i++) {
    const layers = Array.from(
      { length: 1 + random.below(9) },
      () => 1 + random.below(1000),
    );
    const some = (of: number): number[] =>
      layers.map((_, layer) => layer).filter(() => random.below(of) > 0);
    const plain = modelOf(
      layers,
      random.below(3000),
      random.below(3000),
      random.below(2) === 0,
    );
    // Half of them may be cut everywhere.
    const model: PlannedModel =
      random.below(2) === 0
        ? plain
        : {
            ...plain,
            layerCosts: layers.map((bytes) => 1 + random.below(bytes)),
            cuts: {
              borders: some(4).filter((layer) => layer > 0),
              needs: [some(2)].filter((set) => set.length > 0),
              refusedLengths: [1 + random.below(9)].filter(
                (length) => length < layers.length,
              ),
            },
          };
    const shards = 1 + random.below(layers.length);
    const heaviest = (other: LayerRange[]): number =>
      Math.max(...weights(model, other));
    const others = [...allPlans(0, layers.length, shards)].filter((other) =>
      other.every((range) => isAllowed(model, range)),
    );
    if (others.length === 0) {
      assert.throws(() => planLayers(model, shards), { code: "MODEL_SHARDS" });
      continue;
    }
    const plan = planLayers(model, shards);
    const least = Math.min(...others.map(heaviest));
    assert.equal(heaviest(plan), least);
    const evenest = Math.min(
      ...others
        .filter((other) => heaviest(other) === least)
        .map((other) => unevenness(model, other, least)),
    );
    assert.ok(unevenness(model, plan, least) <= evenest * (1 + 1e-9));
    assert.deepEqual(planLayers(model, shards), plan);
    if (shards > 1) planned++;
  }
  assert.ok(planned > 100);
});

/** By the definition. */
function isAllowed(
  { layerCount, cuts }: PlannedModel,
  { layerStart, layerEnd }: LayerRange,
): boolean {
  const isBorder = (layer: number): boolean =>
    layer === 0 || layer === layerCount || cuts.borders.includes(layer);
  return (
    layerEnd - layerStart === layerCount ||
    (isBorder(layerStart) &&
      isBorder(layerEnd) &&
      !cuts.refusedLengths.includes(layerEnd - layerStart) &&
      cuts.needs.every((set) =>
        set.some((layer) => layer >= layerStart && layer < layerEnd),
      ))
  );
}

test("a model says into how many shards it can be cut", () => {
  const model: PlannedModel = {
    ...modelOf(Array(12).fill(1)),
    cuts: { borders: [4, 6, 8], needs: [[0, 5, 9]], refusedLengths: [] },
  };
  assert.deepEqual(shardCounts(model), [1, 2, 3]);
  assert.throws(() => planLayers(model, 4), {
    code: "MODEL_SHARDS",
    message: "a model of 12 layers can be cut into 1 to 3 shards, not 4",
  });
  assert.throws(() => checkRange(model, { layerStart: 0, layerEnd: 5 }), {
    code: "MODEL_SHARDS",
    message: /layers 0-4 of 12 cannot be a shard/,
  });
  assert.throws(() => checkRange(model, { layerStart: 6, layerEnd: 8 }), {
    code: "MODEL_SHARDS",
  });
  checkRange(model, { layerStart: 4, layerEnd: 6 });
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
