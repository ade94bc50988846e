import assert from "node:assert/strict";
import { test } from "node:test";
import { MEMORY, needsOf, planShards } from "./shard-needs.ts";

const part = (id: string, sizeBytes: number) => ({
  id,
  sizeBytes,
  root: new Uint8Array(32),
  tensors: [],
});
const memory = (bytesPerToken: number, bytesPerSession: number) => ({
  bytesPerToken,
  bytesPerSession,
});

test("a shard needs its parts, the keys and values of each token and the states of each session", () => {
  const manifest = {
    version: 2 as const,
    cuts: { borders: [1, 2], needs: [], refusedLengths: [] },
    layerCosts: [0, 0, 0],
    layerMemory: [memory(64, 0), memory(0, 4096), memory(32, 512)],
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
      part("layer.0", 100),
      part("layer.1", 200),
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
      kvBytesPerToken: 64,
      stateBytesPerSession: 4096,
    },
    {
      index: 1,
      layerStart: 2,
      layerEnd: 3,
      weightBytes: 1 + 10 + 400 + 1000,
      kvBytesPerToken: 32,
      stateBytesPerSession: 512,
    },
  ]);
  const [, last] = planned;
  // 300 tokens take the room of 512.
  const needs = needsOf(last!, { contextLength: 300, sessions: 3 });
  assert.equal(needs.kvBytes, 3 * (512 * 32 + 512));
  assert.equal(needs.totalBytes, 1411 + needs.kvBytes + MEMORY.engineBytes);
});
