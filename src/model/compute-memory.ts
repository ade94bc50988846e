/**
 * What an engine allocates besides weights, keys and values, from the shapes of a shard's tensors. Bounds, fitted against the buffers that
 * llama.cpp v0.5.0 reserves (test/integration/certificates-memory.test.ts compares them for every kind of layer).
 */
import type { Manifest, ManifestPart } from "./manifest.ts";
import type { LayerRange } from "./plan.ts";
import { layerPart } from "./tensor-parts.ts";

export interface ComputeMemory {
  /** For each token of a decode. */
  rowBytes: number;
  /** For each token of a decode and each token of the context: masks and scores. */
  cellBytes: number;
  /** For each sequence: the logits of its last token. */
  sequenceBytes: number;
}

const F32_BYTES = 4;
/** Of the input and what is added to it: several copies live at once. */
const ROWS_OF_INPUT = 8;
/** Two masks of f16: of all tokens, and of a sliding window. */
const MASK_BYTES = 4;
/** Scores by which an index chooses tokens: sorted, chosen, and the mask made of them. */
const INDEX_BYTES = 24;
/** Layers that choose tokens or compress several into one. */
const INDEXED = /\.indexer|compress/;
/** Attention keeps a score for each head and token: llama.cpp has no flash attention for them. */
const WITHOUT_FLASH_ATTENTION: ReadonlySet<string> = new Set(["grok"]);
/** No published model has narrower heads. */
const LEAST_HEAD_WIDTH = 64;
const EXPERTS = /_exps\./;

export function computeMemory(
  manifest: Manifest,
  range: LayerRange,
): ComputeMemory {
  const { architecture, embeddingLength, layerCount, vocabSize } = manifest;
  const layers = Array.from(
    { length: range.layerEnd - range.layerStart },
    (_, i) => range.layerStart + i,
  );
  const partOf = (layer: number): ManifestPart | undefined =>
    manifest.parts.find(({ id }) => id === layerPart(layer));
  const isIndexed = (layer: number): boolean =>
    partOf(layer)?.tensors.some(({ name }) => INDEXED.test(name)) === true;
  const input = ROWS_OF_INPUT * embeddingLength;
  const widths = layers.map((layer) => {
    const width = widthOf(partOf(layer), manifest.layerCosts[layer] ?? 0);
    // What an index or a state computes with is no matrix's output.
    const keepsMore =
      isIndexed(layer) ||
      (manifest.layerMemory[layer]?.bytesPerSession ?? 0) > 0;
    return (width + input) * (keepsMore ? 2 : 1);
  });
  const logits = range.layerEnd === layerCount ? vocabSize : 0;
  const heads = WITHOUT_FLASH_ATTENTION.has(architecture)
    ? Math.max(...layers.map((layer) => headsOf(partOf(layer)))) + 1
    : 0;
  return {
    rowBytes: F32_BYTES * Math.max(logits + embeddingLength, ...widths),
    cellBytes:
      MASK_BYTES +
      F32_BYTES * heads +
      (layers.some(isIndexed) ? INDEX_BYTES : 0),
    sequenceBytes: F32_BYTES * logits,
  };
}

/** Outputs of a layer's matrices; of its experts only those that a token uses, which is what its cost says. */
function widthOf(part: ManifestPart | undefined, costBytes: number): number {
  const tensors = part?.tensors ?? [];
  const experts = tensors.filter(({ name }) => EXPERTS.test(name));
  const expertBytes = bytesOf(experts);
  const otherBytes = bytesOf(tensors) - expertBytes;
  const share =
    expertBytes > 0 ? Math.max(0, costBytes - otherBytes) / expertBytes : 0;
  return Math.ceil(
    tensors.reduce((sum, { name, shape }) => {
      if (shape.length < 2) return sum;
      const outputs = shape.slice(1).reduce((product, n) => product * n, 1);
      return sum + outputs * (EXPERTS.test(name) ? share : 1);
    }, 0),
  );
}

/** At most. */
function headsOf(part: ManifestPart | undefined): number {
  const query = part?.tensors.find(({ name }) =>
    name.endsWith(".attn_q.weight"),
  );
  return Math.ceil((query?.shape[1] ?? 0) / LEAST_HEAD_WIDTH);
}

function bytesOf(tensors: ManifestPart["tensors"]): number {
  return tensors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
