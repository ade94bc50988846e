/**
 * A shard file, laid out: a GGUF that llama.cpp loads unmodified. Its layers are numbered from 0. What it takes in and hands on:
 *
 *     all layers   token ids → logits       the model itself
 *     first        token ids → activations  the embedding table lies behind the tensors, where llama.cpp does not look: the stage reads
 *                                           rows from it and feeds them as `embd`
 *     middle       activations → activations
 *     last         activations → logits     the head is token_embd.weight, which llama.cpp takes for a missing output.weight
 *
 * A shard that is not the last pretends to a vocabulary of one, with a row of zeros for it and a norm of ones: llama.cpp asks for both and
 * never computes with them. Each part's bytes lie in one piece. Nothing in the file depends on how many shards there are.
 */
import {
  alignUp,
  encodeHeader,
  ggmlType,
  tensorSizeBytes,
  type GgufArray,
  type GgufMetadata,
  type GgufTensor,
  type GgufValue,
  type TensorSpec,
} from "../gguf/index.ts";
import { layerPart, renumber, rulesOf } from "./architectures.ts";
import { originalMetadata, SHARD_KEYS } from "./keys.ts";
import { partById, type Manifest } from "./manifest.ts";
import { encodeManifest, manifestId } from "./manifest-codec.ts";
import { PART_ALIGNMENT, tensorsSizeBytes } from "./parts.ts";
import type { LayerRange } from "./plan.ts";

/** A stretch of the file behind its header: bytes by rule, or a part (of the metadata part only its tensors, which end it). */
export type ShardSegment =
  | { bytes: Uint8Array }
  | { part: string; partOffset: number; sizeBytes: number };

export interface ShardLayout {
  header: Uint8Array;
  segments: readonly ShardSegment[];
  sizeBytes: number;
}

/** `metadata`: the original's, or the metadata part's. */
export function shardLayout(
  manifest: Manifest,
  metadata: GgufMetadata,
  range: LayerRange,
): ShardLayout {
  const { tensors, segments, table } = shardData(manifest, range);
  const entries = shardMetadata(manifest, metadata, range);
  const placed = new Map(entries);
  // A first pass with the table at 0 gives the header's length, which does not depend on where the table is.
  if (table !== undefined) placeTable(placed, table, 0);
  let { header, endOffset } = encodeHeader({ metadata: placed, tensors });
  if (table !== undefined) {
    placeTable(placed, table, endOffset);
    ({ header, endOffset } = encodeHeader({ metadata: placed, tensors }));
    endOffset += alignUp(table.sizeBytes, PART_ALIGNMENT);
  }
  return { header, segments, sizeBytes: endOffset };
}

/** Bytes of a shard behind its header; the header's length depends on the vocabulary, these do not. */
export function shardDataBytes(manifest: Manifest, range: LayerRange): number {
  return shardData(manifest, range).segments.reduce(
    (sum, segment) =>
      sum + ("bytes" in segment ? segment.bytes.length : segment.sizeBytes),
    0,
  );
}

function shardData(
  manifest: Manifest,
  { layerStart, layerEnd }: LayerRange,
): {
  tensors: TensorSpec[];
  segments: ShardSegment[];
  /** The embedding table behind the tensors. */
  table: GgufTensor | undefined;
} {
  const isFirst = layerStart === 0;
  const isLast = layerEnd === manifest.layerCount;
  const tensors: TensorSpec[] = [];
  const segments: ShardSegment[] = [];
  const add = (id: string, rename = (name: string): string => name): void => {
    const part = partById(manifest, id);
    const sizeBytes = tensorsSizeBytes(part.tensors);
    for (const { name, type, shape } of part.tensors)
      tensors.push({ name: rename(name), type, shape });
    segments.push({
      part: id,
      partOffset: part.sizeBytes - sizeBytes,
      sizeBytes,
    });
  };

  add("metadata");
  if (isFirst && isLast) add("embedding");
  if (!isLast) {
    const dummy = dummyTensors(manifest.embeddingLength);
    tensors.push(...dummy.tensors);
    segments.push({ bytes: dummy.bytes });
  }
  for (let layer = layerStart; layer < layerEnd; layer++)
    add(layerPart(layer), (name) => renumber(name, -layerStart));
  if (isLast) {
    if (!isFirst && manifest.tied) add("embedding");
    add("output", (name) =>
      !isFirst && name === "output.weight" ? "token_embd.weight" : name,
    );
  }
  if (!isFirst || isLast) return { tensors, segments, table: undefined };
  const [table] = partById(manifest, "embedding").tensors;
  const sizeBytes = partById(manifest, "embedding").sizeBytes;
  segments.push({ part: "embedding", partOffset: 0, sizeBytes });
  return { tensors, segments, table };
}

/** (n_embd, 1) zeros and (n_embd) ones, each padded. */
function dummyTensors(embeddingLength: number): {
  tensors: TensorSpec[];
  bytes: Uint8Array;
} {
  const row = alignUp(
    tensorSizeBytes("F32", [embeddingLength]),
    PART_ALIGNMENT,
  );
  const values = new DataView(new ArrayBuffer(2 * row));
  for (let i = 0; i < embeddingLength; i++)
    values.setFloat32(row + i * 4, 1, true);
  return {
    tensors: [
      { name: "token_embd.weight", type: "F32", shape: [embeddingLength, 1] },
      { name: "output_norm.weight", type: "F32", shape: [embeddingLength] },
    ],
    bytes: new Uint8Array(values.buffer),
  };
}

function shardMetadata(
  manifest: Manifest,
  metadata: GgufMetadata,
  { layerStart, layerEnd }: LayerRange,
): Map<string, GgufValue> {
  const { architecture, layerCount } = manifest;
  const entries = new Map(originalMetadata(metadata));
  const uint32 = (key: string, value: number): unknown =>
    entries.set(key, { type: "uint32", value });
  uint32(`${architecture}.block_count`, layerEnd - layerStart);
  for (const suffix of rulesOf(architecture)?.perLayerKeys ?? []) {
    const key = `${architecture}.${suffix}`;
    const entry = entries.get(key);
    if (entry?.type !== "array") continue;
    const value = entry.value.slice(layerStart, layerEnd);
    entries.set(key, { ...entry, value } as GgufArray);
  }
  if (layerEnd !== layerCount) {
    for (const key of entries.keys())
      if (key.startsWith("tokenizer.")) entries.delete(key);
    entries.set("tokenizer.ggml.model", { type: "string", value: "no_vocab" });
    uint32(`${architecture}.vocab_size`, 1);
  }
  entries.set(SHARD_KEYS.manifest, {
    type: "string",
    value: manifestId(encodeManifest(manifest)),
  });
  uint32(SHARD_KEYS.layerStart, layerStart);
  uint32(SHARD_KEYS.layerEnd, layerEnd);
  uint32(SHARD_KEYS.layerCount, layerCount);
  return entries;
}

/** All of fixed width, so that the header's length is known before the place is. */
function placeTable(
  entries: Map<string, GgufValue>,
  table: GgufTensor,
  offset: number,
): void {
  const { type, shape, sizeBytes } = table;
  entries.set(SHARD_KEYS.embeddingType, {
    type: "uint32",
    value: ggmlType(type).id,
  });
  entries.set(SHARD_KEYS.embeddingOffset, {
    type: "uint64",
    value: BigInt(offset),
  });
  entries.set(SHARD_KEYS.embeddingSize, {
    type: "uint64",
    value: BigInt(sizeBytes),
  });
  entries.set(SHARD_KEYS.embeddingRows, {
    type: "uint32",
    value: shape[1] ?? 0,
  });
}
