/** The memory that a shard needs: weights, KV for its sessions, and the engine itself. */
import { type LayerRange, type Manifest, partsOf } from "../model/index.ts";

export const MEMORY = Object.freeze({
  /** llama.cpp keeps room for a multiple of so many tokens a session. */
  contextStep: 256,
  /** The engine's process (47 MiB of it bare Node), its libraries, and the buffers for computing 128 tokens. */
  engineBytes: 256 * 1024 * 1024,
  /** This fraction of the free memory stays free, for the page cache and everything else on the machine. */
  headroom: 0.1,
});

/** A shard of the plan, with the data for decisions about it. */
export interface PlanShard extends LayerRange {
  index: number;
  weightBytes: number;
  /** Keys and values of one token. */
  kvBytesPerToken: number;
  /** States of fixed size (recurrent layers) of one session. */
  stateBytesPerSession: number;
}

/** The manifest's shards in these ranges (`planLayers`). */
export function planShards(
  manifest: Manifest,
  ranges: readonly LayerRange[],
): PlanShard[] {
  return ranges.map(({ layerStart, layerEnd }, index) => {
    const parts = partsOf(manifest, { layerStart, layerEnd });
    const layers = manifest.layerMemory.slice(layerStart, layerEnd);
    return {
      index,
      layerStart,
      layerEnd,
      weightBytes: sum(parts.map(({ sizeBytes }) => sizeBytes)),
      kvBytesPerToken: sum(layers.map((layer) => layer.bytesPerToken)),
      stateBytesPerSession: sum(layers.map((layer) => layer.bytesPerSession)),
    };
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export interface ShardNeeds {
  weightBytes: number;
  /** Of all sessions: keys, values and states. */
  kvBytes: number;
  engineBytes: number;
  totalBytes: number;
}

export interface SessionRoom {
  /** Tokens one session may hold. */
  contextLength: number;
  /** Sessions at once. */
  sessions: number;
}

export function needsOf(shard: PlanShard, room: SessionRoom): ShardNeeds {
  const { weightBytes, kvBytesPerToken, stateBytesPerSession } = shard;
  const { contextStep } = MEMORY;
  const tokens = Math.ceil(room.contextLength / contextStep) * contextStep;
  const kvBytes =
    (kvBytesPerToken * tokens + stateBytesPerSession) * room.sessions;
  const { engineBytes } = MEMORY;
  const totalBytes = weightBytes + kvBytes + engineBytes;
  return { weightBytes, kvBytes, engineBytes, totalBytes };
}

/** The memory that a machine with this much free memory may use. */
export function usableBytes(freeMemoryBytes: number): number {
  return Math.floor(freeMemoryBytes * (1 - MEMORY.headroom));
}
