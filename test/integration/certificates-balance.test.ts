/** A mixture of experts with leading dense layers, shapes from llama.cpp itself: its shards weigh alike where borders permit. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openModel } from "../../src/gguf/index.ts";
import {
  buildManifest,
  type LayerRange,
  type Manifest,
  partsOf,
  planLayers,
} from "../../src/model/index.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { temporaryFolder } from "../support/folder.ts";

const LAYERS = 50;
const DENSE = 12;

async function mixture(folder: string): Promise<string> {
  const path = join(folder, "model.gguf");
  await writeTinyModel(path, "deepseek2", {
    layers: LAYERS,
    sizes: { width: 64, forward: 64, experts: 16 },
    keys: {
      leading_dense_block_count: DENSE,
      "attention.q_lora_rank": 64,
      "attention.kv_lora_rank": 64,
      "attention.key_length": 128,
      "attention.value_length": 64,
      expert_gating_func: 2,
    },
  });
  return path;
}

test("the heaviest shard of a mixture with dense layers is at most 1.15 times the mean", async (t) => {
  const folder = await temporaryFolder(t);
  const manifest = await buildManifest(await openModel(await mixture(folder)));
  const layers = manifest.parts.filter(({ id }) => id.startsWith("layer."));
  const [dense, sparse] = [layers[0]!.sizeBytes, layers[DENSE]!.sizeBytes];
  assert.ok(sparse > 3 * dense, `${sparse} against ${dense} bytes`);
  for (const shards of [2, 3, 4, 5, 6]) {
    const plan = planLayers(manifest, shards);
    const sizes = plan.map((range) => bytesOf(manifest, range));
    assert.ok(unevenness(sizes) <= 1.15, `${shards} shards of ${sizes.join()}`);
    // Counting layers would not do.
    const counted = plan.map((_, i) => ({
      layerStart: Math.round((i * LAYERS) / shards),
      layerEnd: Math.round(((i + 1) * LAYERS) / shards),
    }));
    assert.ok(
      unevenness(counted.map((range) => bytesOf(manifest, range))) > 1.15,
      `${shards} shards by count`,
    );
  }
});

/** The heaviest against the mean. */
function unevenness(sizes: readonly number[]): number {
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  return Math.max(...sizes) / mean;
}

function bytesOf(manifest: Manifest, range: LayerRange): number {
  return partsOf(manifest, range).reduce(
    (sum, { id, sizeBytes }) => sum + (id === "metadata" ? 0 : sizeBytes),
    0,
  );
}
