/** Shards equal the whole model, bit for bit, on the real engine: every weight type, head and family, cut at every boundary. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openModel } from "../gguf/index.ts";
import {
  assembleShard,
  buildManifest,
  type LayerRange,
  planLayers,
  readShard,
} from "../model/index.ts";
import {
  type RandomModelOptions,
  writeRandomModel,
} from "../../test/support/models.ts";
import { Stage } from "./stage.ts";

const LAYERS = 8;
const directory = await mkdtemp(join(tmpdir(), "shoal-exact-"));
after(() => rm(directory, { recursive: true, force: true }));

const OPTIONS = {
  contextLength: 256,
  sessions: 2,
  batchTokens: 32,
  threads: 1,
} as const;

async function load(path: string): Promise<Stage> {
  return new Stage(await readShard(path), OPTIONS);
}

/** Logits of a prompt in two chunks and of single tokens after it, (steps, n_vocab). */
function logitsOf(
  stages: readonly Stage[],
  vocabSize: number,
  sequence = 0,
): Float32Array[] {
  const steps = [20, 7, 1, 1, 1];
  let position = 0;
  return steps.map((count) => {
    const start = position;
    const tokens = Int32Array.from(
      { length: count },
      (_, i) => ((start + i) * 7919 + 11) % vocabSize,
    );
    let activations: Float32Array | undefined;
    for (const stage of stages)
      activations = stage.decode(sequence, start, tokens, activations)?.slice();
    position += count;
    return stages.at(-1)!.logits();
  });
}

function assertSame(
  actual: readonly Float32Array[],
  expected: readonly Float32Array[],
  what: string,
): void {
  for (const [step, row] of expected.entries()) {
    const same = Buffer.from(row.buffer).equals(
      Buffer.from(actual[step]!.buffer),
    );
    assert.ok(same, `${what}: logits of step ${step} differ`);
  }
}

/** Meaningful numbers: finite, not all equal, different at each step. */
function assertMeaningful(logits: readonly Float32Array[]): void {
  for (const row of logits) assert.ok(row.every(Number.isFinite));
  assert.ok(new Set(logits[0]).size > 10);
  assert.notDeepEqual(logits[0], logits[1]);
}

function everyCut(): LayerRange[][] {
  return Array.from({ length: LAYERS - 1 }, (_, i) => [
    { layerStart: 0, layerEnd: i + 1 },
    { layerStart: i + 1, layerEnd: LAYERS },
  ]);
}

interface Case extends RandomModelOptions {
  name: string;
}

const wide = { embeddingLength: 256, feedForward: 256, heads: 8, kvHeads: 4 };
const cases: Case[] = [
  ...(["F32", "F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"] as const).flatMap((type) =>
    [true, false].map((tied) => ({
      name: `llama ${type} with a ${tied ? "tied" : "separate"} head`,
      architecture: "llama" as const,
      type,
      tied,
      ...wide,
    })),
  ),
  ...(["llama-moe", "qwen2", "qwen3", "qwen3moe", "phi3"] as const).map(
    (architecture) => ({
      name: `${architecture} Q8_0`,
      architecture,
      type: "Q8_0" as const,
      ...wide,
    }),
  ),
  { name: "llama with rope factors", architecture: "llama", ropeFreqs: true },
];

for (const [index, { name, ...options }] of cases.entries()) {
  test(`${name}: shards give the whole model's logits`, async () => {
    const path = join(directory, `${index}.gguf`);
    await writeRandomModel(path, {
      ...options,
      layers: LAYERS,
      seed: index + 1,
    });
    const source = await openModel(path);
    const manifest = await buildManifest(source);
    using whole = await load(path);
    const expected = logitsOf([whole], manifest.vocabSize);
    assertMeaningful(expected);

    const plans = [
      ...everyCut(),
      ...[3, 4, 5, 6, 7, 8].map((n) => planLayers(manifest, n)),
    ];
    const loaded = new Map<string, Stage>();
    try {
      for (const plan of plans) {
        const stages: Stage[] = [];
        for (const range of plan) {
          const key = `${range.layerStart}-${range.layerEnd}`;
          let stage = loaded.get(key);
          if (stage === undefined) {
            const shard = join(directory, `${index}-${key}.gguf`);
            await assembleShard({
              source,
              manifest,
              range,
              path: shard,
              verify: false,
            });
            stage = await load(shard);
            loaded.set(key, stage);
          }
          stage.freeSequence(0);
          stages.push(stage);
        }
        const cut = plan.map((r) => `${r.layerStart}-${r.layerEnd}`).join(" ");
        assertSame(logitsOf(stages, manifest.vocabSize), expected, cut);
      }
    } finally {
      for (const stage of loaded.values()) stage[Symbol.dispose]();
    }
  });
}

test("a session gives the same logits beside another one and alone", async () => {
  const path = join(directory, "two.gguf");
  await writeRandomModel(path, { layers: 2, type: "Q8_0", ...wide });
  using stage = await load(path);
  const alone = logitsOf([stage], 320, 1);
  stage.freeSequence(1);
  stage.decode(
    0,
    0,
    Int32Array.from({ length: 30 }, (_, i) => i),
    undefined,
  );
  assertSame(logitsOf([stage], 320, 1), alone, "beside sequence 0");
});

test("the comparison notices other weights", async () => {
  const path = join(directory, "wrong.gguf");
  const shape = { layers: 2, type: "F32" as const };
  await writeRandomModel(path, { ...shape, seed: 1 });
  using right = await load(path);
  const expected = logitsOf([right], 320);
  const other = join(directory, "wrong-2.gguf");
  await writeRandomModel(other, { ...shape, seed: 2 });
  using wrong = await load(other);
  assert.throws(() => assertSame(logitsOf([wrong], 320), expected, "other"));
});
