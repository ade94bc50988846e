/**
 * A stage of a shard on the device it is told, in a process of its own: prints what each token gave, and where llama.cpp put the layers.
 *
 *     node gpu-stage.ts SHARD BACKEND [DEVICE]
 */
import { type Backend } from "../../src/engine/libraries.ts";
import { loadNative } from "../../src/engine/native.ts";
import { Stage } from "../../src/engine/stage.ts";
import { readShard } from "../../src/model/index.ts";

export interface GpuStageResult {
  /** llama.cpp's own lines about layers and their memory. */
  placed: string[];
  /** A row for each token: activations, or logits of a last stage. */
  rows: number[][];
}

const [path = "", backend = "cpu", device] = process.argv.slice(2);
const placed: string[] = [];
loadNative((_, text) => {
  if (/assigned to device|KV buffer size/.test(text)) placed.push(text.trim());
}, backend as Backend);
const shard = await readShard(path);
using stage = new Stage(shard, {
  contextLength: 256,
  sessions: 1,
  batchTokens: 16,
  threads: 1,
  backend: backend as Backend,
  ...(device !== undefined && { device }),
});
const rows: number[][] = [];
// One by one: a graph of several tokens has other shaders, which take minutes more to compile.
for (const [position, token] of [3, 4, 5, 6].entries()) {
  const input = shard.isFirst
    ? undefined
    : Float32Array.from({ length: shard.activationLength }, (_, i) =>
        Math.sin(i * (position + 1)),
      );
  const out = stage.decode(0, position, Int32Array.of(token), input);
  rows.push(Array.from(out ?? stage.logits()));
}
process.stdout.write(JSON.stringify({ placed, rows } satisfies GpuStageResult));
