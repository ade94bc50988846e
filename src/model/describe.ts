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
import {
  ARCHITECTURES,
  layerPart,
  missingOfLayer,
  partOf,
  rulesOf,
  type ArchitectureRules,
} from "./architectures.ts";
import { isWholeShard, SHARD_KEYS } from "./keys.ts";
import type { Manifest } from "./manifest.ts";
import { quantizationOf } from "./quantization.ts";

export interface ModelDescription extends Pick<
  Manifest,
  | "name"
  | "layerCount"
  | "embeddingLength"
  | "contextLength"
  | "vocabSize"
  | "quantization"
  | "tied"
> {
  rules: ArchitectureRules;
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
  const { rules, layerCount } = recognize(model);
  checkPerLayerKeys(model, rules, layerCount);
  const tensorsOf = partition(model, rules, layerCount);
  const table = tensorsOf.get("embedding")?.[0];
  const embeddingLength = uintOf(metadata, `${rules.name}.embedding_length`);
  const vocabSize =
    stringsOf(metadata, "tokenizer.ggml.tokens")?.length ??
    uintOf(metadata, `${rules.name}.vocab_size`) ??
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
  const contextLength = uintOf(metadata, `${rules.name}.context_length`);
  if (contextLength !== undefined && contextLength < MIN_CONTEXT_TOKENS) {
    throw fail(
      "GGUF_CORRUPT",
      `${rules.name}.context_length is ${contextLength}: no prompt and reply fit in fewer than ${MIN_CONTEXT_TOKENS} tokens`,
    );
  }
  return {
    rules,
    name: nameOf(metadata, rules.name),
    layerCount,
    embeddingLength,
    contextLength: contextLength ?? 0, // llama.cpp refuses a model without it
    vocabSize,
    quantization: quantizationOf(model),
    tied: !model.tensors.some(({ name }) => name === "output.weight"),
    parts: partIds(layerCount).map((id) => ({
      id,
      tensors: tensorsOf.get(id) ?? [],
    })),
  };
}

/** Ids of a model's parts, in the manifest's order. */
export function partIds(layerCount: number): string[] {
  const layers = Array.from({ length: layerCount }, (_, i) => layerPart(i));
  return ["metadata", "embedding", ...layers, "output"];
}

/** Architecture and layer count, or why Shoal cannot run this model. */
function recognize(model: GgufModel): {
  rules: ArchitectureRules;
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
  const layerCount = uintOf(metadata, `${architecture}.block_count`) ?? 0;
  if (layerCount === 0) {
    throw no(
      `architecture ${quote(architecture)} without ${architecture.slice(0, 80)}.block_count`,
    );
  }
  if (tensors.length === 0) throw no("it holds a vocabulary, but no tensors");
  const rules = rulesOf(architecture);
  if (rules === undefined) {
    throw fail(
      "MODEL_ARCHITECTURE",
      `architecture ${quote(architecture)} is not supported; supported are ${ARCHITECTURES.map(({ name }) => name).join(", ")}`,
    );
  }
  if (layerCount > MAX_LAYERS) {
    throw fail(
      "GGUF_LIMIT",
      `${layerCount} layers, more than llama.cpp's ${MAX_LAYERS}`,
    );
  }
  const pooling = uintOf(metadata, `${architecture}.pooling_type`) ?? 0;
  const causal = metadata.get(`${architecture}.attention.causal`)?.value;
  if (pooling !== 0 || causal === false)
    throw no("it is an embedding model: it makes vectors, not text");
  if ((uintOf(metadata, `${architecture}.nextn_predict_layers`) ?? 0) > 0) {
    throw fail(
      "MODEL_ARCHITECTURE",
      `architecture ${quote(architecture)} with layers that predict several tokens is not supported`,
    );
  }
  return { rules, layerCount };
}

function checkPerLayerKeys(
  model: GgufModel,
  rules: ArchitectureRules,
  layerCount: number,
): void {
  for (const suffix of rules.perLayerKeys) {
    const key = `${rules.name}.${suffix}`;
    const entry = model.metadata.get(key);
    if (entry?.type !== "array") continue;
    if (entry.value.length !== layerCount) {
      throw failIn(model)(
        "GGUF_CORRUPT",
        `${key} has ${entry.value.length} values for ${layerCount} layers`,
      );
    }
    if (new Set<unknown>(entry.value).size > 1) {
      throw failIn(model)(
        "MODEL_ARCHITECTURE",
        `architecture '${rules.name}' with a ${suffix} that differs by layer is not supported`,
      );
    }
  }
}

function partition(
  model: GgufModel,
  rules: ArchitectureRules,
  layerCount: number,
): Map<string, GgufTensor[]> {
  const fail = failIn(model);
  const parts = new Map(
    partIds(layerCount).map((id): [string, GgufTensor[]] => [id, []]),
  );
  for (const tensor of model.tensors) {
    const part = parts.get(partOf(rules, tensor.name) ?? "");
    if (part === undefined) {
      throw fail(
        "MODEL_TENSOR_UNKNOWN",
        `tensor ${quote(tensor.name)} does not belong to a ${rules.name} model of ${layerCount} layers`,
        { tensor: tensor.name },
      );
    }
    part.push(tensor);
  }
  const missing = missingTensor(parts, rules, layerCount);
  if (missing !== undefined) {
    throw fail("MODEL_TENSOR_MISSING", `tensor ${missing} is missing`, {
      tensor: missing,
    });
  }
  return parts;
}

/** The first tensor that the parts lack to make a model. */
export function missingTensor(
  parts: ReadonlyMap<string, readonly { name: string }[]>,
  rules: ArchitectureRules,
  layerCount: number,
): string | undefined {
  const namesIn = (id: string): string[] =>
    (parts.get(id) ?? []).map(({ name }) => name);
  if (namesIn("embedding").length === 0) return "token_embd.weight";
  for (let layer = 0; layer < layerCount; layer++) {
    const prefix = `blk.${layer}.`;
    const names = namesIn(layerPart(layer)).map((n) => n.slice(prefix.length));
    const missing = missingOfLayer(rules, new Set(names));
    if (missing !== undefined) return `${prefix}${missing}`;
  }
  return namesIn("output").includes("output_norm.weight")
    ? undefined
    : "output_norm.weight";
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
