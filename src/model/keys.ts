/** Shoal's own metadata keys, with which a shard file describes itself. llama.cpp ignores keys it does not know. */
import { stringOf, uintOf, type GgufMetadata } from "../gguf/index.ts";

export const SHARD_KEYS = {
  /** CID of the model's manifest. */
  manifest: "shoal.manifest",
  /** The shard's layers, half-open, and how many the model has. */
  layerStart: "shoal.layer_start",
  layerEnd: "shoal.layer_end",
  layerCount: "shoal.layer_count",
  /** Of a first shard: the embedding table behind its tensors. Type is ggml's id; offset is from the file's start. */
  embeddingType: "shoal.embedding.type",
  embeddingOffset: "shoal.embedding.offset",
  embeddingSize: "shoal.embedding.size",
  embeddingRows: "shoal.embedding.rows",
} as const;

/** Whether these are the metadata of that shard already. */
export function isShardOf(
  metadata: GgufMetadata,
  shard: {
    manifest: string;
    layerStart: number;
    layerEnd: number;
    layerCount: number;
  },
): boolean {
  return (
    stringOf(metadata, SHARD_KEYS.manifest) === shard.manifest &&
    uintOf(metadata, SHARD_KEYS.layerStart) === shard.layerStart &&
    uintOf(metadata, SHARD_KEYS.layerEnd) === shard.layerEnd &&
    uintOf(metadata, SHARD_KEYS.layerCount) === shard.layerCount
  );
}

/** A shard of all layers is the model itself with a few more keys. */
export function isWholeShard(metadata: GgufMetadata): boolean {
  return (
    uintOf(metadata, SHARD_KEYS.layerStart) === 0 &&
    uintOf(metadata, SHARD_KEYS.layerEnd) ===
      uintOf(metadata, SHARD_KEYS.layerCount)
  );
}

/** Keys that parts and shards leave out: how the original was cut into files, its alignment (ours is 32), and our own keys. */
export function originalMetadata(metadata: GgufMetadata): GgufMetadata {
  return new Map(
    [...metadata].filter(
      ([key]) =>
        !key.startsWith("split.") &&
        !key.startsWith("shoal.") &&
        key !== "general.alignment",
    ),
  );
}
