/** The memory that a shard needs: weights, KV for its sessions, and the engine itself. */
import type { KvType } from "../lib/index.ts";
import {
  computeMemory,
  type ComputeMemory,
  copiedBytes,
  type LayerRange,
  type Manifest,
  partsOf,
} from "../model/index.ts";

export const MEMORY = Object.freeze({
  /** llama.cpp keeps room for a multiple of so many tokens a session. */
  contextStep: 256,
  /** The engine's process: Node (47 MiB of it), llama.cpp's libraries and what they work with. Measured: 80 to 87 MiB. */
  processBytes: 82 * 1024 * 1024,
  /** Tokens of the largest decode, and so of the buffers for computing. */
  decodeTokens: 192,
  /** This fraction of the free memory stays free, for the page cache and everything else on the machine. */
  headroom: 0.1,
});

/** Bytes of 32 elements: llama.cpp's blocks. */
const KV_BLOCK_BYTES: Readonly<Record<KvType, number>> = {
  f16: 64,
  bf16: 64,
  q8_0: 34,
};

/** A shard of the plan, with the data for decisions about it. */
export interface PlanShard extends LayerRange {
  index: number;
  weightBytes: number;
  /** Those that llama.cpp copies for its kernels. */
  copiedBytes: number;
  /** Keys and values of one token, as f16. */
  kvBytesPerToken: number;
  /** States of fixed size (recurrent layers) of one session. */
  stateBytesPerSession: number;
  compute: ComputeMemory;
}

/** The manifest's shards in these ranges (`planLayers`). */
export function planShards(
  manifest: Manifest,
  ranges: readonly LayerRange[],
): PlanShard[] {
  return ranges.map((range, index) => ({ index, ...shardOf(manifest, range) }));
}

/** A search for a better cut asks for the same ranges every few seconds, for hundreds of them in a large model. */
const known = new WeakMap<Manifest, Map<string, Omit<PlanShard, "index">>>();

function shardOf(
  manifest: Manifest,
  { layerStart, layerEnd }: LayerRange,
): Omit<PlanShard, "index"> {
  const shards =
    known.get(manifest) ?? new Map<string, Omit<PlanShard, "index">>();
  known.set(manifest, shards);
  const key = `${layerStart}-${layerEnd}`;
  const shard = shards.get(key) ?? measure(manifest, { layerStart, layerEnd });
  shards.set(key, shard);
  return shard;
}

function measure(
  manifest: Manifest,
  range: LayerRange,
): Omit<PlanShard, "index"> {
  const layers = manifest.layerMemory.slice(range.layerStart, range.layerEnd);
  return {
    ...range,
    weightBytes: sum(
      partsOf(manifest, range).map(({ sizeBytes }) => sizeBytes),
    ),
    copiedBytes: copiedBytes(manifest, range),
    kvBytesPerToken: sum(layers.map((layer) => layer.bytesPerToken)),
    stateBytesPerSession: sum(layers.map((layer) => layer.bytesPerSession)),
    compute: computeMemory(manifest, range),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export interface ShardNeeds {
  weightBytes: number;
  /** Of all sessions, when full: keys, values and states. */
  kvBytes: number;
  /** Buffers for computing, at most. */
  computeBytes: number;
  /** The process and its buffers for computing. */
  engineBytes: number;
  /** What must be free. Weights count once: those that were copied may leave memory. */
  totalBytes: number;
}

export interface SessionRoom {
  /** Tokens one session may hold. */
  contextLength: number;
  /** Sessions at once. */
  sessions: number;
  /** What keys and values are kept as; undefined: f16. */
  kv?: KvType | undefined;
}

export function needsOf(shard: PlanShard, room: SessionRoom): ShardNeeds {
  const { weightBytes, stateBytesPerSession } = shard;
  const { contextLength, sessions } = room;
  const tokens = roundUp(contextLength, MEMORY.contextStep);
  const kvBytes =
    (kvBytesPerToken(shard, room.kv) * tokens + stateBytesPerSession) *
    sessions;
  const computeBytes = computeBytesOf(shard, tokens, sessions);
  const engineBytes = MEMORY.processBytes + computeBytes;
  const totalBytes = weightBytes + kvBytes + engineBytes;
  return { weightBytes, kvBytes, computeBytes, engineBytes, totalBytes };
}

/** Keys and values of one token. */
export function kvBytesPerToken(shard: PlanShard, kv: KvType = "f16"): number {
  return (shard.kvBytesPerToken / KV_BLOCK_BYTES.f16) * KV_BLOCK_BYTES[kv];
}

function computeBytesOf(
  { compute }: PlanShard,
  tokens: number,
  sessions: number,
): number {
  const rows = roundUp(MEMORY.decodeTokens, sessions);
  return (
    rows * (compute.rowBytes + compute.cellBytes * tokens) +
    compute.sequenceBytes * sessions
  );
}

export interface EngineMemory {
  /** On the processor: llama.cpp copies weights for its kernels, but not where keys and values are bf16 or q8_0. */
  copiesWeights: boolean;
  /** Pages of keys and values that nobody uses are given back to the system. */
  returnsPages: boolean;
}

/** What a shard's engine takes: before the first session, and when all sessions are full. Weights that were copied count twice. */
export function residentBytes(
  shard: PlanShard,
  room: SessionRoom,
  { copiesWeights, returnsPages }: EngineMemory,
): {
  copiedBytes: number;
  kvAtRestBytes: number;
  atRestBytes: number;
  fullBytes: number;
} {
  const { weightBytes, kvBytes, computeBytes } = needsOf(shard, room);
  const copied = copiesWeights ? shard.copiedBytes : 0;
  const kvAtRestBytes = returnsPages
    ? shard.stateBytesPerSession * room.sessions
    : kvBytes;
  const engine = MEMORY.processBytes + weightBytes + copied;
  // Measuring at load uses the buffers for rows; masks grow with the tokens that are used.
  const measured = computeBytesOf(shard, 0, room.sessions);
  return {
    copiedBytes: copied,
    kvAtRestBytes,
    atRestBytes: engine + measured + kvAtRestBytes,
    fullBytes: engine + kvBytes + computeBytes,
  };
}

/** The longest context with which a shard fits into so many bytes; 0 where none does. */
export function contextThatFits(
  shard: PlanShard,
  room: Omit<SessionRoom, "contextLength">,
  bytes: number,
): number {
  const { contextStep } = MEMORY;
  const at = (contextLength: number): number =>
    needsOf(shard, { ...room, contextLength }).totalBytes;
  const bytesPerStep = at(2 * contextStep) - at(contextStep);
  const left = bytes - at(contextStep);
  if (left < 0) return 0;
  if (bytesPerStep <= 0) return Infinity;
  return contextStep * (1 + Math.floor(left / bytesPerStep));
}

/** The memory that a machine with this much free memory may use. */
export function usableBytes(freeMemoryBytes: number): number {
  return Math.floor(freeMemoryBytes * (1 - MEMORY.headroom));
}

/** The free memory of which so much may be used: what an operator allows is used whole. */
export function freeFor(usable: number): number {
  return Math.ceil(usable / (1 - MEMORY.headroom));
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
