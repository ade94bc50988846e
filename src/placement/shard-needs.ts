/** The memory that a shard needs: weights, KV for its sessions, and the engine itself. */
import { type LayerRange, type Manifest, partsOf } from "../model/index.ts";

export const MEMORY = Object.freeze({
  /** K and V are f16, llama.cpp's default and the type that is exact against it. */
  kvElementBytes: 2,
  /** The engine's process (47 MiB of it bare Node), its libraries, and the buffers for computing 128 tokens. */
  engineBytes: 256 * 1024 * 1024,
  /** This fraction of the free memory stays free, for the page cache and everything else on the machine. */
  headroom: 0.1,
});

/** A shard of the plan, with the data for decisions about it. */
export interface PlanShard extends LayerRange {
  index: number;
  weightBytes: number;
  kvBytesPerToken: number;
}

/** The manifest's shards in these ranges (`planLayers`). */
export function planShards(
  manifest: Manifest,
  ranges: readonly LayerRange[],
): PlanShard[] {
  return ranges.map(({ layerStart, layerEnd }, index) => {
    const parts = partsOf(manifest, { layerStart, layerEnd });
    const sum = (of: (part: (typeof parts)[number]) => number): number =>
      parts.reduce((total, part) => total + of(part), 0);
    return {
      index,
      layerStart,
      layerEnd,
      weightBytes: sum((part) => part.sizeBytes),
      kvBytesPerToken: sum((part) =>
        part.id.startsWith("layer.") ? kvBytesOf(manifest, part) : 0,
      ),
    };
  });
}

/** A layer's K and V rows are as wide as its matrices say; a fused one holds Q too, which is as wide as the output's rows are long. */
function kvBytesOf(
  { embeddingLength }: Manifest,
  { tensors }: Pick<Manifest["parts"][number], "tensors">,
): number {
  const shapeOf = (name: string): readonly number[] | undefined =>
    tensors.find((tensor) => tensor.name.endsWith(`.${name}.weight`))?.shape;
  const k = shapeOf("attn_k")?.[1];
  const v = shapeOf("attn_v")?.[1];
  const qkv = shapeOf("attn_qkv")?.[1];
  const q = shapeOf("attn_output")?.[0];
  const fused = qkv === undefined || q === undefined ? undefined : qkv - q;
  const apart = k === undefined || v === undefined ? undefined : k + v;
  // If unknown, as wide as the model, which no model with shared heads exceeds.
  return (apart ?? fused ?? 2 * embeddingLength) * MEMORY.kvElementBytes;
}

export interface ShardNeeds {
  weightBytes: number;
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
  const { weightBytes, kvBytesPerToken } = shard;
  const kvBytes = kvBytesPerToken * room.contextLength * room.sessions;
  const { engineBytes } = MEMORY;
  const totalBytes = weightBytes + kvBytes + engineBytes;
  return { weightBytes, kvBytes, engineBytes, totalBytes };
}

/** The memory that a machine with this much free memory may use. */
export function usableBytes(freeMemoryBytes: number): number {
  return Math.floor(freeMemoryBytes * (1 - MEMORY.headroom));
}
