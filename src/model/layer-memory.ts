/**
 * What llama.cpp keeps of a session in each layer: keys and values of every token, or a state of fixed size, or both. As it allocates them
 * (llama_hparams::n_embd_k_gqa, n_embd_r and n_embd_s, and the caches that llama_model::create_memory chooses, at v0.5.0).
 */
import { uintOf, type GgufMetadata, type GgufTensor } from "../gguf/index.ts";
import { layerNumbers, numbersOf, slidingLayers } from "./per-layer.ts";
import type { Recipe } from "./recipes/index.ts";
import { layerPart } from "./tensor-parts.ts";

export interface LayerMemory {
  bytesPerToken: number;
  bytesPerSession: number;
}

/** Keys and values are f16, llama.cpp's default and the type that is exact against it. */
const KV_ELEMENT_BYTES = 2;
/** States are f32. */
const STATE_ELEMENT_BYTES = 4;

/** A convolution over the last tokens: [tokens, channels]. */
const CONVOLUTION = /\.(?:ssm_conv1d(?:_[qkv])?|shortconv\.conv)\.weight$/;
const SHORT_CONVOLUTION = /\.shortconv\./;
const RWKV = /\.time_mix_/;

export function layerMemory(
  recipe: Recipe,
  metadata: GgufMetadata,
  layerCount: number,
  tensorsOf: ReadonlyMap<string, readonly GgufTensor[]>,
): LayerMemory[] {
  const keysOf = keysAndValues(recipe, metadata);
  const compressedOf = compressedKeys(recipe, metadata);
  const stateOf = states(recipe, metadata);
  return Array.from({ length: layerCount }, (_, layer) => {
    const tensors = tensorsOf.get(layerPart(layer)) ?? [];
    const has = (pattern: RegExp): boolean =>
      tensors.some(({ name }) => pattern.test(name));
    const compressed = compressedOf?.(layer);
    if (compressed !== undefined) return compressed;
    const state = stateOf(tensors);
    // A layer with a state attends besides only if it projects what it attended to.
    const attends = state === 0 || has(/\.attn_output\.weight$/);
    const { own, index } = keysOf(layer);
    const width = own + (has(/\.indexer\./) ? index : 0);
    return {
      bytesPerToken: attends ? width * KV_ELEMENT_BYTES : 0,
      bytesPerSession: state * STATE_ELEMENT_BYTES,
    };
  });
}

/**
 * Of DeepSeek V4: keys alone, besides those of 4 or of 128 tokens in one, with the state of what makes one of them. llama.cpp rounds the
 * compressed ones up to 256, which here each session pays in full.
 */
function compressedKeys(
  recipe: Recipe,
  metadata: GgufMetadata,
): ((layer: number) => LayerMemory) | undefined {
  const ratios = numbersOf(
    metadata,
    `${recipe.name}.attention.compress_ratios`,
  );
  if (ratios === undefined) return undefined;
  const uint = (suffix: string): number =>
    uintOf(metadata, `${recipe.name}.attention.${suffix}`) ?? 0;
  const key = uint("key_length");
  return (layer) => {
    const ratio = ratios[layer] ?? 0;
    const isIndexed = ratio === 4;
    const width =
      ratio > 0 ? key + (isIndexed ? uint("indexer.key_length") : 0) : 0;
    // Two numbers a row; the shorter ratio keeps twice the rows, twice as wide, so that they overlap.
    const state = 2 * width * ratio * (isIndexed ? 4 : 1);
    return {
      bytesPerToken: Math.ceil((key + width / (ratio || 1)) * KV_ELEMENT_BYTES),
      bytesPerSession:
        state * STATE_ELEMENT_BYTES + 256 * width * KV_ELEMENT_BYTES,
    };
  };
}

/** Of each layer: elements a token of its keys and values, and of the keys by which it finds tokens if it has such an index. */
function keysAndValues(
  recipe: Recipe,
  metadata: GgufMetadata,
): (layer: number) => { own: number; index: number } {
  const uint = (suffix: string): number | undefined =>
    uintOf(metadata, `${recipe.name}.${suffix}`);
  const perLayer = (
    suffix: string,
  ): ((layer: number) => number | undefined) => {
    const values = numbersOf(metadata, `${recipe.name}.${suffix}`);
    const same = uint(suffix);
    return (layer) => values?.[layer] ?? same;
  };
  const { blockCount } = layerNumbers(metadata, recipe.name);
  const heads = perLayer("attention.head_count");
  const keyHeads = perLayer("attention.head_count_kv");
  const sliding = slidingLayers(recipe, metadata, blockCount);
  const firstHeads = heads(0) ?? 0;
  const even =
    firstHeads > 0
      ? Math.floor((uint("embedding_length") ?? 0) / firstHeads)
      : 0;
  const key = uint("attention.key_length") ?? even;
  const value = uint("attention.value_length") ?? even;
  const slidingKey = uint("attention.key_length_swa") ?? key;
  const slidingValue = uint("attention.value_length_swa") ?? value;
  // Keys and values compressed together (MLA) are kept once.
  const isCompressed =
    (uint("attention.key_length_mla") ?? 0) > 0 &&
    (uint("attention.value_length_mla") ?? 0) > 0;
  const indexKey = uint("attention.indexer.key_length") ?? 0;
  // 0: the layer uses the index of one before it.
  const indexTypes = numbersOf(
    metadata,
    `${recipe.name}.attention.indexer.types`,
  );
  return (layer) => {
    const isSliding = sliding?.[layer] === 1;
    const count = keyHeads(layer) ?? heads(layer) ?? 0;
    const values = isCompressed ? 0 : isSliding ? slidingValue : value;
    return {
      own: count * ((isSliding ? slidingKey : key) + values),
      index:
        indexTypes?.[layer] === 0 ? 0 : indexKey + (isCompressed ? 0 : value),
    };
  };
}

/** Elements of a layer's state, from its tensors. */
function states(
  recipe: Recipe,
  metadata: GgufMetadata,
): (tensors: readonly GgufTensor[]) => number {
  const uint = (suffix: string): number =>
    uintOf(metadata, `${recipe.name}.${suffix}`) ?? 0;
  const width = uint("embedding_length");
  const heads =
    numbersOf(metadata, `${recipe.name}.attention.head_count`)?.[0] ??
    uint("attention.head_count");
  return (tensors) => {
    if (tensors.some(({ name }) => RWKV.test(name)))
      return width * (uint("token_shift_count") + uint("wkv.head_size"));
    const convolutions = tensors.filter(({ name }) => CONVOLUTION.test(name));
    if (convolutions.length === 0) return 0;
    const last = convolutions.reduce(
      (sum, { shape: [tokens = 1, ...rest] }) => {
        const channels = rest.reduce((product, n) => product * n, 1);
        return sum + (tokens - 1) * channels;
      },
      0,
    );
    if (tensors.some(({ name }) => SHORT_CONVOLUTION.test(name))) return last;
    // Three convolutions: delta attention, whose state is a square a head.
    return (
      last +
      (convolutions.length === 3
        ? heads * uint("kda.head_dim") ** 2
        : uint("ssm.state_size") * uint("ssm.inner_size"))
    );
  };
}
