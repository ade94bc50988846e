/** Describes a model and assigns each tensor to a part. Refuses models that cannot be cut, with the reason. */
import { basename } from "node:path";
import {
  stringOf,
  stringsOf,
  uintOf,
  type GgufMetadata,
  type GgufModel,
  type GgufTensor,
} from "../gguf/index.ts";
import { ShoalError, type ErrorCode } from "../lib/index.ts";
import { cutRules } from "./cut-rules.ts";
import { embeddingKind } from "./embeddings.ts";
import { isWholeShard, SHARD_KEYS } from "./keys.ts";
import { layerCosts } from "./layer-costs.ts";
import { layerMemory } from "./layer-memory.ts";
import type { Manifest } from "./manifest.ts";
import { layerNumbers, numbersOf, perLayerArrays } from "./per-layer.ts";
import { quantizationOf } from "./quantization.ts";
import { recipeOf, type Recipe } from "./recipes/index.ts";
import { layerOf, missingTensor, partIds, partOf } from "./tensor-parts.ts";

export interface ModelDescription extends Pick<
  Manifest,
  | "name"
  | "layerCount"
  | "embeddingLength"
  | "contextLength"
  | "vocabSize"
  | "quantization"
  | "tied"
  | "cuts"
  | "layerCosts"
  | "layerMemory"
> {
  recipe: Recipe;
  /** metadata, embedding, layer.0 …, output: each with its tensors in the files' order. */
  parts: readonly { id: string; tensors: readonly GgufTensor[] }[];
}

/** LLAMA_MAX_LAYERS (src/llama-hparams.h). */
const MAX_LAYERS = 512;
/** Below this no prompt and its reply fit; --context has the same bound. */
export const MIN_CONTEXT_TOKENS = 16;

/** A name is only displayed: long enough for every model on the hubs. */
const MAX_NAME_LENGTH = 200;

export function describeModel(model: GgufModel): ModelDescription {
  const { metadata } = model;
  const fail = failIn(model);
  const { recipe, layerCount } = recognize(model);
  checkRefusals(model, recipe, layerCount);
  checkPerLayerKeys(model, recipe);
  const tensorsOf = partition(model, recipe, layerCount);
  const table = tensorsOf.get("embedding")?.[0];
  const embeddingLength = uintOf(metadata, `${recipe.name}.embedding_length`);
  const vocabSize =
    stringsOf(metadata, "tokenizer.ggml.tokens")?.length ??
    uintOf(metadata, `${recipe.name}.vocab_size`) ??
    table?.shape[1];
  const [width, rows, ...more] = table?.shape ?? [];
  if (
    embeddingLength === undefined ||
    vocabSize === undefined ||
    width !== embeddingLength ||
    rows !== vocabSize ||
    more.length > 0
  ) {
    throw fail(
      "GGUF_CORRUPT",
      `token_embd.weight is [${table?.shape.join(", ") ?? ""}], the metadata says [${embeddingLength ?? "?"}, ${vocabSize ?? "?"}]`,
    );
  }
  const contextLength = uintOf(metadata, `${recipe.name}.context_length`);
  if (contextLength !== undefined && contextLength < MIN_CONTEXT_TOKENS) {
    throw fail(
      "GGUF_CORRUPT",
      `${recipe.name}.context_length is ${contextLength}: no prompt and reply fit in fewer than ${MIN_CONTEXT_TOKENS} tokens`,
    );
  }
  return {
    recipe,
    name: nameOf(metadata, recipe.name),
    layerCount,
    embeddingLength,
    contextLength: contextLength ?? 0, // llama.cpp refuses a model without it
    vocabSize,
    quantization: quantizationOf(model),
    tied: !model.tensors.some(({ name }) => name === "output.weight"),
    cuts: cutRules(recipe, metadata),
    layerCosts: layerCosts(recipe, metadata, layerCount, tensorsOf),
    layerMemory: layerMemory(recipe, metadata, layerCount, tensorsOf),
    parts: partIds(layerCount).map((id) => ({
      id,
      tensors: tensorsOf.get(id) ?? [],
    })),
  };
}

/** Architecture and layer count, or why Shoal cannot run this model. */
function recognize(model: GgufModel): {
  recipe: Recipe;
  layerCount: number;
} {
  const { metadata, tensors } = model;
  const fail = failIn(model);
  const no = (reason: string): ShoalError =>
    fail("MODEL_NOT_LANGUAGE", `not a language model: ${reason}`);
  const architecture = stringOf(metadata, "general.architecture");
  if (architecture === undefined) throw no("it has no general.architecture");
  const cutFrom = uintOf(metadata, SHARD_KEYS.layerCount);
  if (cutFrom !== undefined && !isWholeShard(metadata)) {
    throw no(
      `a shard, layers ${uintOf(metadata, SHARD_KEYS.layerStart) ?? "?"} to ${uintOf(metadata, SHARD_KEYS.layerEnd) ?? "?"} of ${cutFrom}`,
    );
  }
  const kind = stringOf(metadata, "general.type") ?? "model";
  if (kind !== "model") throw no(`its general.type is ${quote(kind)}`);
  const { layerCount } = layerNumbers(metadata, architecture);
  const recipe = recipeOf(
    architecture,
    `${basename(model.files[0]?.path ?? "")}: `,
  );
  if (layerCount === 0) {
    throw no(
      `architecture ${quote(architecture)} without ${architecture.slice(0, 80)}.block_count`,
    );
  }
  if (tensors.length === 0) throw no("it holds a vocabulary, but no tensors");
  if (layerCount > MAX_LAYERS) {
    throw fail(
      "GGUF_LIMIT",
      `${layerCount} layers, more than llama.cpp's ${MAX_LAYERS}`,
    );
  }
  if (embeddingKind(recipe, metadata) === "refused") {
    throw no(
      "it is an embedding model: it makes vectors, not text, in a way that is not served (docs/API.md#embeddings)",
    );
  }
  return { recipe, layerCount };
}

/** What its architecture's recipe refuses: numbers of layers and settings with which shards would not compute what the model does. */
function checkRefusals(
  model: GgufModel,
  recipe: Recipe,
  layerCount: number,
): void {
  const { metadata } = model;
  const refuse = (what: string, reason: string): never => {
    throw failIn(model)(
      "MODEL_ARCHITECTURE",
      `architecture '${recipe.name}' ${what} is not supported: ${reason}`,
    );
  };
  const uint = (key: string): number | undefined =>
    uintOf(metadata, `${recipe.name}.${key}`);
  for (const { layers, from, reason } of recipe.refusedCounts ?? []) {
    if (layerCount === layers || layerCount >= (from ?? Infinity))
      refuse(`with ${layerCount} layers`, reason);
  }
  for (const { key, above, equal, reason } of recipe.refusedKeys ?? []) {
    const value = uint(key);
    if (value !== undefined && (value > (above ?? Infinity) || value === equal))
      refuse(`with ${key} ${value}`, reason);
  }
  const pictures = recipe.picturesByLayer ?? "";
  if (numbersOf(metadata, `${recipe.name}.${pictures}`)?.includes(0) === true)
    refuse(`with a 0 in ${pictures}`, "layers read the embedding again");
  for (const { key, reason, ...when } of recipe.refusedWithout ?? []) {
    if (metadata.has(`${recipe.name}.${key}`)) continue;
    if (
      when.layers?.includes(layerCount) === true ||
      (uint("context_length") ?? 0) >= (when.fromContext ?? Infinity)
    )
      refuse(`without ${key}`, reason);
  }
}

/** In most architectures llama.cpp takes the first layer's number of heads and widths for all, and a shard has another first layer. */
function checkPerLayerKeys(model: GgufModel, recipe: Recipe): void {
  const { blockCount, layerCount } = layerNumbers(model.metadata, recipe.name);
  for (const [key, { value }] of perLayerArrays(model.metadata, recipe.name)) {
    // With or without the layers that only predict further tokens.
    if (value.length !== blockCount && value.length !== layerCount) {
      throw failIn(model)(
        "GGUF_CORRUPT",
        `${key} has ${value.length} values for ${layerCount} layers`,
      );
    }
    const isShape =
      /\.(?:feed_forward_length|attention\.head_count(?:_kv)?|expert_.*)$/;
    if (
      recipe.variesByLayer !== true &&
      isShape.test(key) &&
      new Set<unknown>(value as Iterable<unknown>).size > 1
    ) {
      throw failIn(model)(
        "MODEL_ARCHITECTURE",
        `architecture '${recipe.name}' with a ${key.slice(recipe.name.length + 1)} that differs by layer is not supported`,
      );
    }
  }
}

function partition(
  model: GgufModel,
  recipe: Recipe,
  layerCount: number,
): Map<string, GgufTensor[]> {
  const fail = failIn(model);
  const parts = new Map(
    partIds(layerCount).map((id): [string, GgufTensor[]] => [id, []]),
  );
  const { blockCount } = layerNumbers(model.metadata, recipe.name);
  const ahead: string[] = [];
  for (const tensor of model.tensors) {
    const layer = layerOf(tensor.name) ?? 0;
    // It only predicts further tokens.
    if (layer >= layerCount && layer < blockCount) {
      ahead.push(tensor.name);
      continue;
    }
    const part = parts.get(partOf(tensor.name) ?? "");
    if (part === undefined) {
      throw fail(
        "MODEL_TENSOR_UNKNOWN",
        `tensor ${quote(tensor.name)} does not belong to a ${recipe.name} model of ${layerCount} layers`,
        { tensor: tensor.name },
      );
    }
    part.push(tensor);
  }
  const isBare =
    ahead.length > 0 && !ahead.some((name) => name.includes(".nextn."));
  const missing =
    isBare && recipe.computesBareLayers === true
      ? `blk.${layerCount}.nextn.*`
      : missingTensor(parts, layerCount);
  if (missing !== undefined) {
    throw fail("MODEL_TENSOR_MISSING", `tensor ${missing} is missing`, {
      tensor: missing,
    });
  }
  return parts;
}

function nameOf(metadata: GgufMetadata, fallback: string): string {
  const name =
    stringOf(metadata, "general.name") ??
    stringOf(metadata, "general.basename") ??
    fallback;
  return name.slice(0, MAX_NAME_LENGTH).toWellFormed();
}

function failIn(
  model: GgufModel,
): (
  code: ErrorCode,
  what: string,
  details?: Record<string, string>,
) => ShoalError {
  const path = model.files[0]?.path ?? "";
  return (code, what, details = {}) =>
    new ShoalError(code, `${basename(path)}: ${what}`, { path, ...details });
}

/** A name from the file, fit for one line of an error. */
function quote(name: string): string {
  return `'${JSON.stringify(name.slice(0, 80)).slice(1, -1)}'`;
}
