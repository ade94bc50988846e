/** The memory that a node gives a shard, told before the shard is fetched. */
import type { StageEngineOptions } from "../engine/index.ts";
import { type ComputeMode, type EventSink, formatBytes } from "../lib/index.ts";
import {
  needsOf,
  residentBytes,
  roomIn,
  sequencesIn,
} from "../placement/index.ts";
import type { PlannedShard } from "../weights/index.ts";

export interface ShardRoom {
  /** Tokens one session may hold. */
  contextLength: number;
  /** Of its engine: sessions that it can hold at once, where they are short. */
  sequences: number;
  /** Of all sessions together. */
  kvTokens: number;
  /** What it takes of the memory that may be used. */
  totalBytes: number;
  /** What its engine has in memory before the first session, and when all sessions are full. */
  atRestBytes: number;
  fullBytes: number;
}

export interface RoomWish {
  /** Undefined: the model's, as far as memory allows. */
  contextLength?: number | undefined;
  /** The most that it takes where nothing is said. */
  mostContext?: number | undefined;
  sessions: number;
  computesOn: Pick<StageEngineOptions, "backend" | "gpuLayers">;
  /** Memory that it may take. */
  bytes: number;
}

/** Throws MEMORY_INSUFFICIENT, naming what would fit. */
export function roomOfShard(
  { manifest, range }: PlannedShard,
  { kv }: ComputeMode,
  { computesOn, bytes, ...asked }: RoomWish,
  events: EventSink,
): ShardRoom {
  const { sessions } = asked;
  const wish = { ...asked, kv };
  const { shard, room } = roomIn(bytes, manifest, range, wish);
  const isOnGpu = (computesOn.backend ?? "cpu") !== "cpu";
  const engine = {
    copiesWeights:
      kv === "f16" && (!isOnGpu || computesOn.gpuLayers !== undefined),
    returnsPages: !isOnGpu && process.platform === "linux",
  };
  const needs = needsOf(shard, room);
  const resident = residentBytes(shard, room, engine);
  const sequences = sequencesIn(bytes, shard, room, engine.returnsPages);
  events.info("MEMORY", "what the shard takes", {
    layers: `${range.layerStart}-${range.layerEnd - 1}`,
    weights: formatBytes(needs.weightBytes),
    copied: formatBytes(resident.copiedBytes),
    kv: `${formatBytes(resident.kvAtRestBytes)} at rest, ${formatBytes(needs.kvBytes)} when full`,
    compute: formatBytes(needs.computeBytes),
    process: formatBytes(needs.engineBytes - needs.computeBytes),
    atRest: formatBytes(resident.atRestBytes),
    full: formatBytes(resident.fullBytes),
    mayUse: formatBytes(bytes),
    context: room.contextLength,
    sessions: `${sessions} of the whole context, ${sequences} short ones`,
    kvBytes: needs.kvBytes,
    computeBytes: needs.computeBytes,
    atRestBytes: resident.atRestBytes,
    fullBytes: resident.fullBytes,
  });
  return {
    contextLength: room.contextLength,
    sequences,
    kvTokens: room.contextLength * sessions,
    totalBytes: needs.totalBytes,
    atRestBytes: resident.atRestBytes,
    fullBytes: resident.fullBytes,
  };
}
