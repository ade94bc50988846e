/** What a model's metadata say about each of its layers. */
import { uintOf, type GgufArray, type GgufMetadata } from "../gguf/index.ts";
import type { LayerKind, Recipe } from "./recipes/index.ts";

/**
 * Keys that may hold one value per layer, after `<architecture>.`. A shard gets its layers' values. (`rope.dimension_sections` and others
 * are arrays of something else.)
 */
const SLICED: ReadonlySet<string> = new Set([
  "feed_forward_length",
  "expert_feed_forward_length",
  "expert_used_count",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.sliding_window_pattern",
  "attention.recurrent_layers",
  "attention.rope_pattern",
  "attention.indexer.types",
  "attention.compress_ratios",
  "swiglu_clamp_exp",
  "swiglu_clamp_shexp",
]);
/** The same, without an architecture before them. */
const SLICED_GLOBAL = new Set([
  "xielu.alpha_n",
  "xielu.alpha_p",
  "xielu.beta",
  "xielu.eps",
]);
/** Numbers of first layers. */
export const COUNTS_FROM_START = [
  "leading_dense_block_count",
  "hash_layer_count",
  "n_deepstack_layers",
] as const;

export const SLIDING = "attention.sliding_window_pattern";
export const RECURRENT = "attention.recurrent_layers";

export interface LayerNumbers {
  /** `block_count`: the model's layers and those behind them, which only predict further tokens and are not computed. */
  blockCount: number;
  layerCount: number;
}

export function layerNumbers(
  metadata: GgufMetadata,
  architecture: string,
): LayerNumbers {
  const blockCount = uintOf(metadata, `${architecture}.block_count`) ?? 0;
  const next = uintOf(metadata, `${architecture}.nextn_predict_layers`) ?? 0;
  return { blockCount, layerCount: Math.max(0, blockCount - next) };
}

/** The metadata that hold one value per layer. */
export function perLayerArrays(
  metadata: GgufMetadata,
  architecture: string,
): [key: string, array: GgufArray][] {
  const prefix = `${architecture}.`;
  return [...metadata].flatMap(([key, entry]) =>
    entry.type === "array" &&
    (SLICED_GLOBAL.has(key) ||
      (key.startsWith(prefix) && SLICED.has(key.slice(prefix.length))))
      ? [[key, entry] as [string, GgufArray]]
      : [],
  );
}

/** 1 for each layer whose attention is sliding; undefined if the architecture has none. */
export function slidingLayers(
  recipe: Recipe,
  metadata: GgufMetadata,
  blockCount: number,
): number[] | undefined {
  if (recipe.hasSliding !== true) return undefined;
  const given = numbersOf(metadata, `${recipe.name}.${SLIDING}`);
  if (given !== undefined) return given.map((value) => (value === 0 ? 0 : 1));
  if (recipe.slidingPeriod === undefined) return undefined;
  const { fullFirst = false } = recipe.slidingPeriod;
  const period =
    uintOf(metadata, `${recipe.name}.${SLIDING}`) ??
    recipe.slidingPeriod.period;
  return Array.from({ length: blockCount }, (_, layer) => {
    const isSliding =
      period === 0 ||
      (fullFirst ? layer % period !== 0 : layer % period < period - 1);
    return isSliding ? 1 : 0;
  });
}

/** 1 for each layer that keeps a state instead of attending; undefined if the architecture has none. */
export function recurrentLayers(
  recipe: Recipe,
  metadata: GgufMetadata,
  blockCount: number,
): number[] | undefined {
  if (recipe.recurrentWithoutHeads === true) {
    const heads = numbersOf(metadata, `${recipe.name}.attention.head_count_kv`);
    const forward = numbersOf(metadata, `${recipe.name}.feed_forward_length`);
    if (heads === undefined) return undefined;
    // With a width per layer (Nemotron H) a layer is either recurrent, or attention, or feed-forward.
    return heads.map((value, layer) =>
      value === 0 && (forward?.[layer] ?? 0) === 0 ? 1 : 0,
    );
  }
  if (recipe.attentionInterval === undefined) return undefined;
  const given = numbersOf(metadata, `${recipe.name}.${RECURRENT}`);
  if (given !== undefined) return given.map((value) => (value === 0 ? 0 : 1));
  const interval =
    uintOf(metadata, `${recipe.name}.full_attention_interval`) ??
    recipe.attentionInterval;
  return Array.from({ length: blockCount }, (_, layer) =>
    (layer + 1) % interval === 0 ? 0 : 1,
  );
}

/** The layers of a kind, ascending. Empty if the model has none, or does not say. */
export function layersOfKind(
  kind: LayerKind,
  recipe: Recipe,
  metadata: GgufMetadata,
): number[] {
  const { blockCount, layerCount } = layerNumbers(metadata, recipe.name);
  const where = (test: (layer: number) => boolean): number[] =>
    Array.from({ length: layerCount }, (_, layer) => layer).filter(test);
  const values = (key: string): readonly number[] =>
    numbersOf(metadata, `${recipe.name}.${key}`) ?? [];
  const sliding = slidingLayers(recipe, metadata, blockCount);
  const recurrent = recurrentLayers(recipe, metadata, blockCount);
  switch (kind) {
    case "sliding":
      return where((layer) => sliding?.[layer] === 1);
    case "full":
      return where((layer) => sliding?.[layer] === 0);
    case "recurrent":
      return where((layer) => recurrent?.[layer] === 1);
    case "attention": {
      const heads = values("attention.head_count_kv");
      return where((layer) =>
        heads.length > 0 ? (heads[layer] ?? 0) > 0 : recurrent?.[layer] === 0,
      );
    }
    case "sparse": {
      const dense = uintOf(
        metadata,
        `${recipe.name}.leading_dense_block_count`,
      );
      return where((layer) => layer >= (dense ?? 0));
    }
    case "experts": {
      const used = values("expert_used_count");
      return where((layer) => (used[layer] ?? 0) > 0);
    }
    case "indexed": {
      const types = values("attention.indexer.types");
      return where((layer) => types[layer] === 1);
    }
    case "rotating": {
      const pattern = values("attention.rope_pattern");
      return where((layer) => (pattern[layer] ?? 0) !== 0);
    }
    case "compress4":
    case "compress128": {
      const ratios = values("attention.compress_ratios");
      return where((layer) => `compress${ratios[layer] ?? ""}` === kind);
    }
    default:
      return kind satisfies never;
  }
}

/** The numbers (or truth values) of an array; undefined if the key is no such array. */
export function numbersOf(
  metadata: GgufMetadata,
  key: string,
): number[] | undefined {
  const entry = metadata.get(key);
  if (
    entry?.type !== "array" ||
    entry.element === "string" ||
    entry.element === "array"
  )
    return undefined;
  return Array.from(entry.value as Iterable<number | bigint | boolean>, Number);
}
