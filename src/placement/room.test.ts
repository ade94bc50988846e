/** The room that a node gives a shard's sessions, and what it says where there is none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Manifest } from "../model/index.ts";
import { roomIn, sequencesIn } from "./room.ts";
import { needsOf, planShards } from "./shard-needs.ts";

const MiB = 2 ** 20;
const LAYERS = 8;
const part = (id: string, sizeBytes: number) => ({
  id,
  sizeBytes,
  root: new Uint8Array(32),
  tensors: [],
});
/** 8 layers of 10 MiB with 4 KiB of keys and values a token each. */
const manifest: Manifest = {
  version: 2,
  name: "x",
  architecture: "llama",
  layerCount: LAYERS,
  embeddingLength: 256,
  contextLength: 131_072,
  vocabSize: 1_000,
  quantization: "F32",
  tied: false,
  cuts: { borders: [2, 4, 6], needs: [], refusedLengths: [] },
  layerCosts: Array.from({ length: LAYERS }, () => 10 * MiB),
  layerMemory: Array.from({ length: LAYERS }, () => ({
    bytesPerToken: 4_096,
    bytesPerSession: 0,
  })),
  files: [],
  parts: [
    part("metadata", 1),
    part("embedding", MiB),
    ...Array.from({ length: LAYERS }, (_, i) => part(`layer.${i}`, 10 * MiB)),
    part("output", MiB),
  ],
};
const whole = { layerStart: 0, layerEnd: LAYERS };
const wish = { sessions: 2, kv: "f16" } as const;
const [shard] = planShards(manifest, [whole]);
const needs = (contextLength: number, sessions: number = wish.sessions) =>
  needsOf(shard!, { ...wish, sessions, contextLength }).totalBytes;
const contextIn = (bytes: number, contextLength?: number) =>
  roomIn(bytes, manifest, whole, { ...wish, contextLength }).room.contextLength;

test("without a wish the context is up to 32,768, as far as memory allows, and not under 4,096", () => {
  assert.equal(contextIn(needs(131_072)), 32_768);
  assert.equal(contextIn(needs(10_240)), 10_240);
  assert.equal(contextIn(needs(10_240) - 1), 9_984);
  assert.equal(contextIn(needs(4_096)), 4_096);
  assert.throws(() => contextIn(needs(4_096) - 1), {
    code: "MEMORY_INSUFFICIENT",
  });
});

test("where others have a shorter context it is no longer than theirs", () => {
  const at = (mostContext: number, bytes: number) =>
    roomIn(bytes, manifest, whole, { ...wish, mostContext }).room.contextLength;
  assert.equal(at(8_192, needs(131_072)), 8_192);
  assert.equal(at(8_192, needs(6_144)), 6_144);
  assert.equal(at(65_536, needs(131_072)), 65_536);
  assert.equal(at(512, needs(131_072)), 4_096);
});

test("a context that was asked for is given whole or not at all, and never beyond the model's", () => {
  assert.equal(contextIn(needs(131_072), 131_072), 131_072);
  assert.equal(contextIn(needs(131_072), 1_000_000), 131_072);
  assert.equal(contextIn(needs(131_072), 1_000), 1_000);
  assert.throws(() => contextIn(needs(131_072) - 1, 131_072), {
    code: "MEMORY_INSUFFICIENT",
  });
});

test("the refusal names the largest context and the most layers that fit", () => {
  const bytes = needs(2_048) + 1;
  const asked = { ...wish, contextLength: 8_192 };
  assert.throws(
    () => roomIn(bytes, manifest, whole, asked),
    (error: Error) => {
      const [, context] = /fit with --context (\d+)/.exec(error.message) ?? [];
      const [, layers] = /--layers 0-(\d+) do/.exec(error.message) ?? [];
      assert.equal(context, "2048");
      const range = { layerStart: 0, layerEnd: Number(layers) };
      assert.equal(roomIn(bytes, manifest, range, asked).shard.layerEnd, 2);
      const more = { layerStart: 0, layerEnd: 4 };
      assert.throws(() => roomIn(bytes, manifest, more, asked));
      return true;
    },
  );
  assert.throws(() => roomIn(MiB, manifest, whole, asked), {
    message: /fit with no context; with 8192 tokens no layers from 0 on do/,
  });
});

test("an engine has more sequences than sessions where all fit for a moment, in numbers that divide a decode", () => {
  const { room } = roomIn(needs(4_096), manifest, whole, {
    ...wish,
    contextLength: 4_096,
  });
  const sequences = (bytes: number, returnsPages = true) =>
    sequencesIn(bytes, shard!, room, returnsPages);
  assert.equal(sequences(needs(4_096)), 2);
  assert.equal(sequences(needs(4_096, 6)), 6);
  assert.equal(sequences(needs(4_096, 8) - 1), 6);
  // 4 GiB of keys and values are 32 contexts.
  assert.equal(sequences(2 ** 50), 32);
  assert.equal(sequences(2 ** 50, false), 2);
});
