/** For tests: plans, machines and holders, as placement and take-over see them. */
import type { Holder } from "../../src/placement/coverage.ts";
import {
  placeShard,
  needsOf,
  type PlanShard,
} from "../../src/placement/index.ts";
import type { Placement } from "../../src/placement/placement.ts";
import { MEMORY } from "../../src/placement/shard-needs.ts";

export const GiB = 1024 ** 3;
export const room = { contextLength: 1024, sessions: 2 };
export const PLENTY = { freeMemoryBytes: 1000 * GiB };

/** Shards of two layers each, of these weights in GiB. */
export function planOf(...weights: number[]): PlanShard[] {
  return weights.map((weight, index) => shardOf(weight, index));
}

/** 1 KiB of KV a token. */
function shardOf(weight: number, index = 0): PlanShard {
  return {
    index,
    layerStart: index * 2,
    layerEnd: index * 2 + 2,
    weightBytes: weight * GiB,
    kvBytesPerToken: 1024,
    stateBytesPerSession: 0,
    copiedBytes: 0,
    // With the process 256 MiB.
    compute: {
      rowBytes: (256 * 2 ** 20 - MEMORY.processBytes) / MEMORY.decodeTokens,
      cellBytes: 0,
      sequenceBytes: 0,
    },
  };
}

export function holder(
  peer: string,
  shard: number,
  changes: Partial<Holder> = {},
): Holder {
  return {
    peer,
    manifest: "m",
    layerStart: shard * 2,
    layerEnd: shard * 2 + 2,
    state: "ready",
    contextLength: room.contextLength,
    sessions: { active: 0, max: room.sessions },
    msPerToken: undefined,
    capacity: PLENTY,
    ...changes,
  };
}

/** Free memory that holds a shard of so many GiB, and no byte more. */
export function fits(weight: number): { freeMemoryBytes: number } {
  const { totalBytes } = needsOf(shardOf(weight), room);
  return { freeMemoryBytes: Math.ceil(totalBytes / (1 - MEMORY.headroom)) };
}

export const place = (
  shards: PlanShard[],
  announcements: Holder[],
  capacity = PLENTY,
  peer = "me",
): Placement =>
  placeShard({ manifest: "m", shards, announcements, peer, capacity, ...room });
