/**
 * The layout of a shard file: a GGUF that llama.cpp loads unmodified. Its layers are numbered from 0. Its input and output:
 *
 *     all layers   token ids → logits       the model itself
 *     first        token ids → activations  the embedding table lies behind the tensors, where llama.cpp does not look: the stage reads
 *                                           rows from it and feeds them as `embd`
 *     middle       activations → activations
 *     last         activations → logits     the head is token_embd.weight, which llama.cpp takes for a missing output.weight; where an
 *                                           architecture requires output.weight, token_embd.weight is a hole in the file
 *
 * A shard before the last pretends to have a vocabulary of one, with zeros for its row and norm: llama.cpp requires both and never computes
 * with them. Each part is one range of bytes. Nothing in the file depends on the number of shards. What differs by architecture is in its
 * recipe (recipes/).
 */
import {
  alignUp,
  encodeHeader,
  ggmlType,
  tensorSizeBytes,
  type GgufMetadata,
  type GgufTensor,
  type GgufValue,
  type TensorSpec,
} from "../gguf/index.ts";
import { isShardOf, SHARD_KEYS } from "./keys.ts";
import { partById, type Manifest } from "./manifest.ts";
import { encodeManifest, manifestId } from "./manifest-codec.ts";
import { PART_ALIGNMENT, tensorsSizeBytes } from "./parts.ts";
import type { LayerRange } from "./plan.ts";
import { recipeOf, type Recipe } from "./recipes/index.ts";
import { shardMetadata, takesTokens } from "./shard-metadata.ts";
import { layerPart, renumber } from "./tensor-parts.ts";

/** A range of the file after its header: zeros that nobody reads, or a part (of the metadata part only its tensors, at its end). */
export type ShardSegment =
  { zeros: number } | { part: string; partOffset: number; sizeBytes: number };

export interface ShardLayout {
  header: Uint8Array;
  segments: readonly ShardSegment[];
  sizeBytes: number;
}

/** `metadata`: the original's, or the metadata part's, or those of the shard itself. */
export function shardLayout(
  manifest: Manifest,
  metadata: GgufMetadata,
  range: LayerRange,
): ShardLayout {
  const { tensors, segments, table } = shardData(manifest, range);
  const recipe = recipeOf(manifest.architecture);
  const shard = {
    ...range,
    layerCount: manifest.layerCount,
    embeddingLength: manifest.embeddingLength,
    manifest: manifestId(encodeManifest(manifest)),
  };
  const entries = isShardOf(metadata, shard)
    ? metadata
    : shardMetadata(recipe, metadata, shard);
  const placed = new Map(entries);
  // A first pass with the table at 0 gives the header's length, which does not depend on the table's position.
  if (table !== undefined) placeTable(placed, table, 0);
  let { header, endOffset } = encodeHeader({ metadata: placed, tensors });
  if (table !== undefined) {
    placeTable(placed, table, endOffset);
    ({ header, endOffset } = encodeHeader({ metadata: placed, tensors }));
    endOffset += alignUp(table.sizeBytes, PART_ALIGNMENT);
  }
  return { header, segments, sizeBytes: endOffset };
}

/** Bytes of a shard after its header. They do not depend on the vocabulary, as the header's length does. */
export function shardDataBytes(manifest: Manifest, range: LayerRange): number {
  return shardData(manifest, range).segments.reduce(
    (sum, segment) =>
      sum + ("zeros" in segment ? segment.zeros : segment.sizeBytes),
    0,
  );
}

function shardData(
  manifest: Manifest,
  range: LayerRange,
): {
  tensors: TensorSpec[];
  segments: ShardSegment[];
  /** The embedding table behind the tensors. */
  table: GgufTensor | undefined;
} {
  const { layerStart, layerEnd } = range;
  const recipe = recipeOf(manifest.architecture);
  const isFirst = layerStart === 0;
  const isLast = layerEnd === manifest.layerCount;
  const fromTokens = isFirst && (isLast || takesTokens(recipe, range));
  const tensors: TensorSpec[] = [];
  const segments: ShardSegment[] = [];
  const add = (id: string, rename = (name: string): string => name): void => {
    const part = partById(manifest, id);
    const sizeBytes = tensorsSizeBytes(part.tensors);
    for (const { name, type, shape } of part.tensors)
      tensors.push({ name: rename(name), type, shape });
    if (sizeBytes === 0) return;
    segments.push({
      part: id,
      partOffset: part.sizeBytes - sizeBytes,
      sizeBytes,
    });
  };
  const addUnread = (...unread: readonly TensorSpec[]): void => {
    tensors.push(...unread);
    segments.push({ zeros: unreadBytes(unread) });
  };

  add("metadata");
  if (fromTokens) add("embedding");
  if (!isLast) addUnread(...unreadHead(manifest, recipe, fromTokens));
  for (let layer = layerStart; layer < layerEnd; layer++)
    add(layerPart(layer), (name) => renumber(name, -layerStart));
  if (isLast && !isFirst) {
    const hasOwnHead = recipe.ownHead === true;
    if (hasOwnHead) addUnread(unreadTable(manifest));
    else if (manifest.tied) add("embedding");
    add("output", (name) =>
      !hasOwnHead && name === "output.weight" ? "token_embd.weight" : name,
    );
  } else if (isLast) add("output");
  if (!isFirst || fromTokens) return { tensors, segments, table: undefined };
  const [table] = partById(manifest, "embedding").tensors;
  const sizeBytes = partById(manifest, "embedding").sizeBytes;
  segments.push({ part: "embedding", partOffset: 0, sizeBytes });
  return { tensors, segments, table };
}

/** What llama.cpp's loader wants of a shard before the last, as if its vocabulary were one token, but never computes with. */
function unreadHead(
  manifest: Manifest,
  recipe: Recipe,
  fromTokens: boolean,
): TensorSpec[] {
  const { embeddingLength } = manifest;
  const rows = fromTokens ? manifest.vocabSize : 1;
  const output = partById(manifest, "output").tensors.flatMap(
    ({ name, shape }): TensorSpec[] => {
      if (name === "output.bias") return [{ name, type: "F32", shape: [rows] }];
      if (name !== "output.weight") return [{ name, type: "F32", shape }];
      if (recipe.ownHead !== true) return [];
      return [fromTokens ? { ...unreadTable(manifest), name } : row(name)];
    },
  );
  function row(name: string): TensorSpec {
    return { name, type: "F32", shape: [embeddingLength, 1] };
  }
  return fromTokens ? output : [row("token_embd.weight"), ...output];
}

/** A whole table in the smallest type for its width. */
function unreadTable({ embeddingLength, vocabSize }: Manifest): TensorSpec {
  const type =
    embeddingLength % 256 === 0
      ? "IQ1_S"
      : embeddingLength % 32 === 0
        ? "Q4_0"
        : "F16";
  return {
    name: "token_embd.weight",
    type,
    shape: [embeddingLength, vocabSize],
  };
}

function unreadBytes(tensors: readonly TensorSpec[]): number {
  return tensorsSizeBytes(
    tensors.map(({ type, shape }) => ({
      sizeBytes: tensorSizeBytes(type, shape),
    })),
  );
}

/** All have a fixed width, so that the header's length is known before the position. */
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
