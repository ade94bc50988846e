import assert from "node:assert/strict";
import { test } from "node:test";
import {
  contextThatFits,
  MEMORY,
  needsOf,
  planShards,
  residentBytes,
} from "./shard-needs.ts";

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

const smallest = {
  index: 0,
  layerStart: 0,
  layerEnd: 2,
  weightBytes: 1_000,
  copiedBytes: 0,
  kvBytesPerToken: 64,
  stateBytesPerSession: 0,
  compute: { rowBytes: 256, cellBytes: 4, sequenceBytes: 1_280 },
};

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
      copiedBytes: 0,
      // Of a layer with a state, and so twice.
      compute: { rowBytes: 4 * 2 * 8 * 64, cellBytes: 4, sequenceBytes: 0 },
    },
    {
      index: 1,
      layerStart: 2,
      layerEnd: 3,
      weightBytes: 1 + 10 + 400 + 1000,
      kvBytesPerToken: 32,
      stateBytesPerSession: 512,
      copiedBytes: 0,
      compute: { rowBytes: 4 * 2 * 8 * 64, cellBytes: 4, sequenceBytes: 400 },
    },
  ]);
  const [, last] = planned;
  // 300 tokens take the room of 512.
  const needs = needsOf(last!, { contextLength: 300, sessions: 3 });
  assert.equal(needs.kvBytes, 3 * (512 * 32 + 512));
  assert.equal(needs.totalBytes, 1411 + needs.kvBytes + needs.engineBytes);
});

test("keys and values of q8_0 take 34 bytes for 32 elements; bf16 is as large as f16", () => {
  const shard = { ...smallest, kvBytesPerToken: 128 };
  const of = (kv: "f16" | "bf16" | "q8_0") =>
    needsOf(shard, { contextLength: 256, sessions: 1, kv }).kvBytes;
  assert.deepEqual(
    [of("f16"), of("bf16"), of("q8_0")],
    [32_768, 32_768, 17_408],
  );
});

test("the longest context that fits is the last one that needs no more", () => {
  const shard = { ...smallest, kvBytesPerToken: 512 };
  const room = { sessions: 2, kv: "q8_0" as const };
  const needs = (contextLength: number) =>
    needsOf(shard, { ...room, contextLength }).totalBytes;
  for (const bytes of [needs(256), needs(5_000), needs(100_000)]) {
    const context = contextThatFits(shard, room, bytes);
    assert.ok(needs(context) <= bytes);
    assert.ok(needs(context + MEMORY.contextStep) > bytes);
  }
  assert.equal(contextThatFits(shard, room, needs(256) - 1), 0);
});

test("where pages are given back, keys and values take nothing at rest; copied weights are in memory twice", () => {
  const shard = { ...smallest, copiedBytes: 700, stateBytesPerSession: 10 };
  const room = { contextLength: 256, sessions: 3 };
  const { kvBytes, computeBytes } = needsOf(shard, room);
  const process = MEMORY.processBytes + shard.weightBytes;
  const { rowBytes, sequenceBytes } = shard.compute;
  const measured = 192 * rowBytes + 3 * sequenceBytes;
  assert.deepEqual(
    residentBytes(shard, room, { copiesWeights: true, returnsPages: true }),
    {
      copiedBytes: 700,
      kvAtRestBytes: 30,
      atRestBytes: process + measured + 700 + 30,
      fullBytes: process + 700 + kvBytes + computeBytes,
    },
  );
  const kept = { copiesWeights: false, returnsPages: false };
  assert.equal(
    residentBytes(shard, room, kept).atRestBytes,
    process + measured + kvBytes,
  );
});
