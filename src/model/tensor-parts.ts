/** Where a model's tensors go when it is cut: by their names, which are llama.cpp's for every architecture. */

/** Read by every layer, or required by the loader of every shard: positions, their factors, the norm of the input. */
const SHARED =
  /^(?:rope_freqs|rope_factors_(?:long|short)|position_embd|token_embd_norm|token_types)\.(?:weight|bias)$/;
// Without leading zeros: each name has one number.
const LAYER_TENSOR = /^blk\.(0|[1-9]\d{0,3})\.(.+)$/;

/** The id of the part that a tensor belongs to; undefined if a language model has no such tensor. */
export function partOf(tensor: string): string | undefined {
  if (tensor === "token_embd.weight") return "embedding";
  if (/^output[._]/.test(tensor)) return "output";
  if (SHARED.test(tensor)) return "metadata";
  const layer = layerOf(tensor);
  return layer === undefined ? undefined : layerPart(layer);
}

/** The number of the layer that a tensor belongs to. */
export function layerOf(tensor: string): number | undefined {
  const [, index] = LAYER_TENSOR.exec(tensor) ?? [];
  return index === undefined ? undefined : Number(index);
}

export function layerPart(index: number): string {
  return `layer.${index}`;
}

/** Ids of a model's parts, in the manifest's order. */
export function partIds(layerCount: number): string[] {
  const layers = Array.from({ length: layerCount }, (_, i) => layerPart(i));
  return ["metadata", "embedding", ...layers, "output"];
}

/** `blk.7.attn_q.weight` under another number; a tensor of no layer keeps its name. */
export function renumber(tensor: string, by: number): string {
  const [, index, name = ""] = LAYER_TENSOR.exec(tensor) ?? [];
  return index === undefined ? tensor : `blk.${Number(index) + by}.${name}`;
}

/**
 * What the parts lack to make a model, as far as names tell: llama.cpp, asked before anything is published, tells the rest.
 */
export function missingTensor(
  parts: ReadonlyMap<string, readonly { name: string }[]>,
  layerCount: number,
): string | undefined {
  if ((parts.get("embedding") ?? []).length === 0) return "token_embd.weight";
  for (let layer = 0; layer < layerCount; layer++) {
    if ((parts.get(layerPart(layer)) ?? []).length === 0)
      return `blk.${layer}.*`;
  }
  return undefined;
}
