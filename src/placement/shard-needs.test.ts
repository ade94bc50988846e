import assert from "node:assert/strict";
import { test } from "node:test";
import { planShards } from "./shard-needs.ts";

test("KV has the width of a layer's matrices, separate or fused", () => {
  const tensor = (name: string, ...shape: number[]) => ({
    name,
    shape,
    type: "F32" as const,
    fileIndex: 0,
    offset: 0,
    sizeBytes: 0,
  });
  const part = (id: string, sizeBytes: number, tensors = [] as never[]) => ({
    id,
    sizeBytes,
    root: new Uint8Array(32),
    tensors,
  });
  const manifest = {
    version: 2 as const,
    cuts: { borders: [1, 2], needs: [], refusedLengths: [] },
    layerCosts: [0, 0, 0],
    name: "x",
    architecture: "llama",
    layerCount: 3,
    embeddingLength: 64,
    contextLength: 512,
    vocabSize: 100,
    quantization: "F32",
    tied: true,
    files: [],
    parts: [
      part("metadata", 1),
      part("embedding", 10),
      {
        ...part("layer.0", 100),
        tensors: [
          tensor("blk.0.attn_k.weight", 64, 16),
          tensor("blk.0.attn_v.weight", 64, 16),
        ],
      },
      {
        ...part("layer.1", 200),
        tensors: [
          tensor("blk.1.attn_qkv.weight", 64, 80),
          tensor("blk.1.attn_output.weight", 64, 64),
        ],
      },
      part("layer.2", 400),
      part("output", 1000),
    ],
  };
  const planned = planShards(manifest, [
    { layerStart: 0, layerEnd: 2 },
    { layerStart: 2, layerEnd: 3 },
  ]);
  assert.deepEqual(planned, [
    {
      index: 0,
      layerStart: 0,
      layerEnd: 2,
      weightBytes: 1 + 10 + 100 + 200,
      kvBytesPerToken: (16 + 16) * 2 + 16 * 2,
    },
    {
      index: 1,
      layerStart: 2,
      layerEnd: 3,
      weightBytes: 1 + 10 + 400 + 1000,
      kvBytesPerToken: 2 * 64 * 2,
    },
  ]);
});
