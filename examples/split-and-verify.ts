/**
 * Describes a model, cuts it into shard files, describes one of them, and proves that the shards compute exactly what the model computes.
 *
 *     node examples/split-and-verify.ts [model.gguf] [shards]
 */
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEMO_MODEL, inspectModel, splitModel, verifyShards } from "shoal";

const [model = DEMO_MODEL, count = "3"] = process.argv.slice(2);
const shards = Number(count);
await using folder = await mkdtempDisposable(join(tmpdir(), "shoal-example-"));

const whole = await inspectModel(model);
if (whole.kind !== "model") throw new Error(`${model} is not a model`);
console.log(`${whole.name}: ${whole.layerCount} layers, ${whole.quantization}`);

const split = await splitModel({ model, shards, outDir: folder.path });
for (const { path } of split.shards) {
  const shard = await inspectModel(path);
  if (shard.kind !== "shard") throw new Error(`${path} is not a shard`);
  const { layerStart, layerEnd, sizeBytes } = shard;
  console.log(`layers ${layerStart}-${layerEnd - 1}: ${sizeBytes} bytes`);
}

const { exact } = await verifyShards({ model, shards });
console.log(exact ? "exact, bit for bit" : "not exact");
