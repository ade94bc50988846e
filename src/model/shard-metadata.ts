/** The metadata of a shard: the model's, told for its layers alone. */
import type { GgufArray, GgufMetadata, GgufValue } from "../gguf/index.ts";
import { uintOf } from "../gguf/index.ts";
import { originalMetadata, SHARD_KEYS } from "./keys.ts";
import {
  COUNTS_FROM_START,
  layerNumbers,
  numbersOf,
  perLayerArrays,
  RECURRENT,
  recurrentLayers,
  SLIDING,
  slidingLayers,
} from "./per-layer.ts";
import type { LayerRange } from "./plan.ts";
import type { Recipe } from "./recipes/index.ts";

export interface ShardOf extends LayerRange {
  layerCount: number;
  embeddingLength: number;
  /** CID of the model's manifest. */
  manifest: string;
}

export function shardMetadata(
  recipe: Recipe,
  metadata: GgufMetadata,
  shard: ShardOf,
): Map<string, GgufValue> {
  const { layerStart, layerEnd, layerCount } = shard;
  const entries = new Map(originalMetadata(metadata));
  const set = (suffix: string, value: number): unknown =>
    entries.set(`${recipe.name}.${suffix}`, { type: "uint32", value });
  const has = (suffix: string): boolean =>
    entries.has(`${recipe.name}.${suffix}`);

  set("block_count", layerEnd - layerStart);
  if (has("nextn_predict_layers")) set("nextn_predict_layers", 0);
  for (const suffix of COUNTS_FROM_START) {
    const count = uintOf(metadata, `${recipe.name}.${suffix}`);
    if (count !== undefined) set(suffix, Math.max(0, count - layerStart));
  }
  if (recipe.picturesByLayer !== undefined)
    entries.delete(`${recipe.name}.${recipe.picturesByLayer}`);
  for (const { key, value } of recipe.writes ?? [])
    if (!has(key)) set(key, value);
  if (recipe.residualByDepth !== undefined && !has("residual_scale")) {
    // In f32, as llama.cpp computes it.
    const root = Math.fround(Math.sqrt(layerCount));
    const value = Math.fround(Math.fround(recipe.residualByDepth) / root);
    const key = `${recipe.name}.residual_scale`;
    entries.set(key, { type: "float32", value });
  }
  if (recipe.embeddingScale === true && layerStart > 0) {
    const key = `${recipe.name}.embedding_scale`;
    entries.set(key, { type: "float32", value: 1 });
  }
  if (recipe.variesByLayer === true) keepHeadSize(recipe, entries, shard);
  tellPerLayer(recipe, metadata, entries, shard);

  if (layerEnd !== layerCount && !takesTokens(recipe, shard)) {
    for (const key of entries.keys())
      if (key.startsWith("tokenizer.")) entries.delete(key);
    entries.set("tokenizer.ggml.model", { type: "string", value: "no_vocab" });
    set("vocab_size", 1);
  }
  const own = { layerStart, layerEnd, layerCount };
  entries.set(SHARD_KEYS.manifest, { type: "string", value: shard.manifest });
  for (const [name, value] of Object.entries(own))
    entries.set(SHARD_KEYS[name as keyof typeof own], {
      type: "uint32",
      value,
    });
  return entries;
}

/** A first shard that is fed with token ids has the vocabulary and its table. */
export function takesTokens(
  recipe: Recipe,
  { layerStart }: LayerRange,
): boolean {
  return recipe.takesTokens === true && layerStart === 0;
}

/** Slices what has one value per layer, and tells periods the same way: counted from another layer they would be wrong. */
function tellPerLayer(
  recipe: Recipe,
  metadata: GgufMetadata,
  entries: Map<string, GgufValue>,
  { layerStart, layerEnd }: LayerRange,
): void {
  const { blockCount } = layerNumbers(metadata, recipe.name);
  const told = (key: string, layers: readonly number[] | undefined): void => {
    if (layers === undefined) return;
    const value = Uint32Array.from(layers);
    entries.set(key, { type: "array", element: "uint32", value });
  };
  const sliding = slidingLayers(recipe, metadata, blockCount);
  told(`${recipe.name}.${SLIDING}`, sliding);
  if (recipe.attentionInterval !== undefined) {
    told(
      `${recipe.name}.${RECURRENT}`,
      recurrentLayers(recipe, metadata, blockCount),
    );
  }
  const isBare =
    sliding?.includes(1) === true &&
    !sliding.slice(layerStart, layerEnd).includes(1);
  for (const [key, array] of perLayerArrays(entries, recipe.name)) {
    const value = array.value.slice(layerStart, layerEnd);
    entries.set(key, { ...array, value } as GgufArray);
  }
  if (isBare) addSlidingLayer(recipe, entries, layerEnd - layerStart);
}

/**
 * llama.cpp asserts that a model with a sliding window has a sliding layer. A shard without one names one more, behind its layers, as one
 * that only predicts further tokens: it is counted, but neither loaded nor computed.
 */
function addSlidingLayer(
  recipe: Recipe,
  entries: Map<string, GgufValue>,
  layers: number,
): void {
  entries.set(`${recipe.name}.block_count`, uint32(layers + 1));
  entries.set(`${recipe.name}.nextn_predict_layers`, uint32(1));
  for (const [key, array] of perLayerArrays(entries, recipe.name)) {
    const isPattern = key === `${recipe.name}.${SLIDING}`;
    const values = array.value as unknown as ArrayLike<unknown>;
    const longer = Array.from(values);
    longer.push(isPattern ? 1 : longer.at(-1));
    const value = Array.isArray(values)
      ? longer
      : (
          values.constructor as unknown as { from(of: unknown[]): unknown }
        ).from(longer);
    entries.set(key, { ...array, value } as GgufArray);
  }
}

/** llama.cpp derives the size of all heads from the first layer's number of heads, which another first layer would change. */
function keepHeadSize(
  recipe: Recipe,
  entries: Map<string, GgufValue>,
  { embeddingLength }: ShardOf,
): void {
  const heads = numbersOf(entries, `${recipe.name}.attention.head_count`);
  const [first = 0] = heads ?? [];
  if (first === 0) return;
  for (const suffix of ["attention.key_length", "attention.value_length"]) {
    const key = `${recipe.name}.${suffix}`;
    if (!entries.has(key))
      entries.set(key, {
        type: "uint32",
        value: Math.floor(embeddingLength / first),
      });
  }
}

function uint32(value: number): GgufValue {
  return { type: "uint32", value };
}
