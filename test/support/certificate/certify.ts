/**
 * Cuts a model at every border it may be cut at and compares the logits of its shards with those of the whole, bit for bit; and those of a sequence
 * that was written to a file and read again.
 */
import { join } from "node:path";
import {
  assembleShard,
  buildManifest,
  type LayerRange,
  planLayers,
  readShard,
  shardCounts,
} from "../../../src/model/index.ts";
import { openModel } from "../../../src/gguf/index.ts";
import { Stage } from "../../../src/engine/stage.ts";
import { certifyKept } from "./kept.ts";

const OPTIONS = {
  contextLength: 64,
  sessions: 1,
  batchTokens: 32,
  threads: 1,
} as const;
/** A prompt in two chunks and single tokens after it. */
const STEPS = [20, 17, 1, 1, 1];

export interface Certificate {
  layers: number;
  /** Each cut that was compared: the shards' ranges. */
  cuts: string[];
}

/**
 * Throws at the first difference. `say` is told what begins, since llama.cpp may end the process; `spoil` may change a shard, to see that it
 * is noticed.
 */
export async function certify(
  path: string,
  folder: string,
  say: (what: string) => void = () => {},
  spoil?: (shard: string, layerStart: number) => Promise<void>,
): Promise<Certificate> {
  const source = await openModel(path);
  const manifest = await buildManifest(source);
  const { layerCount, cuts } = manifest;
  say("whole");
  const expected = await run([await readShard(path)], manifest.vocabSize);
  refuseDull(expected);
  say("a kept sequence");
  const shard = await readShard(path);
  certifyKept(shard, OPTIONS, folder, stepsOf(manifest.vocabSize), expected);
  const plans: LayerRange[][] = cuts.borders
    .map((border) => [
      { layerStart: 0, layerEnd: border },
      { layerStart: border, layerEnd: layerCount },
    ])
    .filter((plan) => plan.every((range) => isAllowed(manifest, range)));
  const [most = 1] = shardCounts(manifest).filter((n) => n > 2);
  if (most > 2) plans.push(planLayers(manifest, most));
  const done: string[] = [];
  for (const plan of plans) {
    const name = plan.map((r) => `${r.layerStart}-${r.layerEnd}`).join(" ");
    say(name);
    const shards = [];
    for (const range of plan) {
      const file = join(folder, `${range.layerStart}-${range.layerEnd}.gguf`);
      const to = { source, manifest, range, path: file, verify: false };
      await assembleShard(to);
      await spoil?.(file, range.layerStart);
      shards.push(await readShard(file));
    }
    const actual = await run(shards, manifest.vocabSize);
    for (const [step, row] of expected.entries()) {
      const other = actual[step] ?? new Float32Array();
      if (!Buffer.from(row.buffer).equals(Buffer.from(other.buffer))) {
        const most = row.reduce(
          (max, x, i) => Math.max(max, Math.abs(x - (other[i] ?? NaN))),
          0,
        );
        throw new Error(
          `cut ${name}: logits of step ${step} differ by ${most}`,
        );
      }
    }
    done.push(name);
  }
  return { layers: layerCount, cuts: done };
}

function isAllowed(
  { layerCount, cuts }: Parameters<typeof shardCounts>[0],
  { layerStart, layerEnd }: LayerRange,
): boolean {
  const length = layerEnd - layerStart;
  return (
    length === layerCount ||
    (!cuts.refusedLengths.includes(length) &&
      cuts.needs.every((of) =>
        of.some((layer) => layer >= layerStart && layer < layerEnd),
      ))
  );
}

function stepsOf(vocabSize: number): Int32Array[] {
  let position = 0;
  return STEPS.map((count) =>
    Int32Array.from(
      { length: count },
      () => (position++ * 7919 + 11) % vocabSize,
    ),
  );
}

/** (steps, n_vocab) */
async function run(
  shards: readonly Awaited<ReturnType<typeof readShard>>[],
  vocabSize: number,
): Promise<Float32Array[]> {
  const stages: Stage[] = [];
  try {
    for (const shard of shards) stages.push(new Stage(shard, OPTIONS));
    let position = 0;
    return stepsOf(vocabSize).map((tokens) => {
      let activations: Float32Array | undefined;
      for (const stage of stages)
        activations = stage.decode(0, position, tokens, activations)?.slice();
      position += tokens.length;
      return stages.at(-1)!.logits();
    });
  } finally {
    for (const stage of stages) stage[Symbol.dispose]();
  }
}

/** Numbers that show a fault: finite, many different ones, others at each step. */
function refuseDull(logits: readonly Float32Array[]): void {
  const [first = new Float32Array(), second = new Float32Array()] = logits;
  if (
    !logits.every((row) => row.every(Number.isFinite)) ||
    new Set(first).size < 10 ||
    first.every((x, i) => x === second[i])
  )
    throw new Error("the whole model's logits say nothing");
}
