/** Describes a shard file and checks whether it is the wanted one. A whole model's GGUF counts as the shard of all its layers. */
import { basename } from "node:path";
import {
  GGML_TYPES,
  openModel,
  type ReadOptions,
  stringOf,
  tensorSizeBytes,
  uintOf,
  type GgufModel,
} from "../gguf/index.ts";
import { ShoalError } from "../lib/index.ts";
import { describeModel } from "./describe.ts";
import { embeddingKind } from "./embeddings.ts";
import { SHARD_KEYS } from "./keys.ts";
import { shardDataBytes } from "./layout.ts";
import type { Manifest } from "./manifest.ts";
import { encodeManifest, manifestId } from "./manifest-codec.ts";
import { layerNumbers } from "./per-layer.ts";
import type { LayerRange } from "./plan.ts";
import { recipeOf, type Recipe } from "./recipes/index.ts";
import { takesTokens } from "./shard-metadata.ts";

export interface ShardInfo extends LayerRange {
  /** The file for llama.cpp to load; the first of a model in several files. */
  path: string;
  sizeBytes: number;
  /** Behind the header. */
  dataSizeBytes: number;
  /** CID of the model's manifest; a plain GGUF has none. */
  manifestId?: string;
  architecture: string;
  /** Of the whole model. */
  layerCount: number;
  embeddingLength: number;
  contextLength: number;
  /** Takes token ids. */
  isFirst: boolean;
  /** Gives logits. */
  isLast: boolean;
  /** Of a first shard that is fed with rows: the table they are in. */
  embedding?: EmbeddingTable;
  /** Fed with token ids: of the first shard the text's, of the others those of a placeholder. */
  takesTokens: boolean;
  /** Rows are multiplied by the square root of their width before they are fed. */
  scalesRows: boolean;
  /** Values that a token's activations have, between any two shards. */
  activationLength: number;
  /** The graph's name for the output of the last of these layers. */
  boundaryTensor: string;
  /** It gives the embedding of a prompt: it is the last one of a model that makes them. */
  embeds: boolean;
  /** The graph's name for the node that activations are written over; undefined if they are fed as rows. */
  injectTensor: string | undefined;
}

export interface EmbeddingTable {
  /** ggml's type id. */
  type: number;
  /** From the file's start. */
  offset: number;
  sizeBytes: number;
  /** One a token id. */
  rows: number;
}

/** Reads only the header. Throws what reading a GGUF throws, and MODEL_NOT_LANGUAGE, MODEL_ARCHITECTURE, MODEL_TENSOR_… for a plain one. */
export async function readShard(
  path: string,
  options: ReadOptions = {},
): Promise<ShardInfo> {
  const model = await openModel(path, options);
  return model.metadata.has(SHARD_KEYS.manifest)
    ? describeShard(model)
    : describeWhole(model);
}

/** Throws SHARD_FOREIGN unless `info` is of the manifest's model and has exactly these layers and bytes. */
export function checkShard(
  info: ShardInfo,
  manifest: Manifest,
  range: LayerRange,
): void {
  const foreign = (reason: string): ShoalError =>
    new ShoalError("SHARD_FOREIGN", `${basename(info.path)}: ${reason}`, {
      path: info.path,
    });
  const id = manifestId(encodeManifest(manifest));
  if (info.manifestId !== undefined && info.manifestId !== id) {
    throw foreign(
      `a shard of another model (${info.manifestId}), expected ${manifest.name} (${id})`,
    );
  }
  const { layerStart, layerEnd, layerCount } = info;
  if (
    layerStart !== range.layerStart ||
    layerEnd !== range.layerEnd ||
    layerCount !== manifest.layerCount
  ) {
    throw foreign(
      `layers ${layerStart} to ${layerEnd} of ${layerCount}, expected ${range.layerStart} to ${range.layerEnd} of ${manifest.layerCount}`,
    );
  }
  const [actual, expected] =
    info.manifestId === undefined
      ? [info.sizeBytes, totalBytes(manifest.files)]
      : [info.dataSizeBytes, shardDataBytes(manifest, range)];
  if (
    actual !== expected ||
    info.architecture !== manifest.architecture ||
    info.embeddingLength !== manifest.embeddingLength
  ) {
    throw foreign(
      `${actual} bytes of ${info.architecture}, expected ${expected} of ${manifest.architecture}`,
    );
  }
}

function describeWhole(model: GgufModel): ShardInfo {
  const { recipe, layerCount, embeddingLength, contextLength } =
    describeModel(model);
  const sizeBytes = totalBytes(model.files);
  return {
    path: model.files[0]?.path ?? "",
    sizeBytes,
    dataSizeBytes: sizeBytes - model.dataOffset,
    architecture: recipe.name,
    layerStart: 0,
    layerEnd: layerCount,
    layerCount,
    embeddingLength,
    contextLength,
    isFirst: true,
    isLast: true,
    embeds: embeddingKind(recipe, model.metadata) === "last",
    ...passageOf(recipe, model, layerCount, embeddingLength),
  };
}

function describeShard(model: GgufModel): ShardInfo {
  const { metadata } = model;
  const [{ path, sizeBytes } = { path: "", sizeBytes: 0 }] = model.files;
  const corrupt = (reason: string): ShoalError =>
    new ShoalError(
      "GGUF_CORRUPT",
      `${basename(path)}: a shard whose ${reason}`,
      { path },
    );
  const architecture = stringOf(metadata, "general.architecture") ?? "";
  const recipe = recipeOf(architecture, `${basename(path)}: a shard of `);
  const uint = (key: string): number => uintOf(metadata, key) ?? NaN;
  const layerStart = uint(SHARD_KEYS.layerStart);
  const layerEnd = uint(SHARD_KEYS.layerEnd);
  const layerCount = uint(SHARD_KEYS.layerCount);
  const embeddingLength = uint(`${architecture}.embedding_length`);
  // Written so that NaN, from a missing key, fails.
  if (!(layerStart < layerEnd && layerEnd <= layerCount))
    throw corrupt("layer numbers are not a range");
  // One more may be named that is not there (shard-metadata.ts).
  if (layerNumbers(metadata, architecture).layerCount !== layerEnd - layerStart)
    throw corrupt("block_count differs from its number of layers");
  if (!(embeddingLength > 0)) throw corrupt("embedding_length is missing");
  const isFirst = layerStart === 0;
  const isLast = layerEnd === layerCount;
  return {
    path,
    sizeBytes,
    dataSizeBytes: sizeBytes - model.dataOffset,
    manifestId: stringOf(metadata, SHARD_KEYS.manifest) ?? "",
    architecture,
    layerStart,
    layerEnd,
    layerCount,
    embeddingLength,
    contextLength: uintOf(metadata, `${architecture}.context_length`) ?? 0,
    isFirst,
    isLast,
    embeds: isLast && embeddingKind(recipe, metadata) === "last",
    ...(isFirst &&
      !isLast &&
      !takesTokens(recipe, { layerStart, layerEnd }) && {
        embedding: tableOf(model, embeddingLength, corrupt),
      }),
    ...passageOf(recipe, model, layerEnd - layerStart, embeddingLength),
  };
}

/** How activations come in and go out. The layers are numbered from 0 in the file. */
function passageOf(
  recipe: Recipe,
  { metadata }: GgufModel,
  layers: number,
  embeddingLength: number,
): Pick<
  ShardInfo,
  | "takesTokens"
  | "scalesRows"
  | "activationLength"
  | "boundaryTensor"
  | "injectTensor"
> {
  const { boundaryRows } = recipe;
  const rows =
    boundaryRows === undefined
      ? 1
      : (uintOf(metadata, `${recipe.name}.${boundaryRows}`) ?? 1);
  return {
    takesTokens: recipe.takesTokens === true,
    scalesRows: recipe.scalesRows === true,
    activationLength: rows * embeddingLength,
    boundaryTensor: recipe.boundary.replace("#", String(layers - 1)),
    injectTensor: recipe.inject,
  };
}

function tableOf(
  model: GgufModel,
  embeddingLength: number,
  corrupt: (reason: string) => ShoalError,
): EmbeddingTable {
  const uint = (key: string): number => uintOf(model.metadata, key) ?? NaN;
  const id = uint(SHARD_KEYS.embeddingType);
  const offset = uint(SHARD_KEYS.embeddingOffset);
  const sizeBytes = uint(SHARD_KEYS.embeddingSize);
  const rows = uint(SHARD_KEYS.embeddingRows);
  const type = GGML_TYPES.find((candidate) => candidate.id === id);
  const [{ path, sizeBytes: fileBytes } = { path: "", sizeBytes: 0 }] =
    model.files;
  const dataEnd = Math.max(
    ...model.tensors.map((tensor) => tensor.offset + tensor.sizeBytes),
  );
  if (
    type === undefined ||
    !(rows > 0) ||
    embeddingLength % type.blockElements !== 0 ||
    tensorSizeBytes(type.name, [embeddingLength, rows]) !== sizeBytes ||
    !(offset >= dataEnd)
  ) {
    throw corrupt("embedding table has another position or size than it says");
  }
  if (offset + sizeBytes > fileBytes) {
    throw new ShoalError(
      "GGUF_TRUNCATED",
      `${basename(path)}: the embedding table ends at byte ${offset + sizeBytes}, the file at ${fileBytes}`,
      { path, offset },
    );
  }
  return { type: type.id, offset, sizeBytes, rows };
}

function totalBytes(files: readonly { sizeBytes: number }[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
