/** Describes a file by its header: a model, a shard, a GGUF that cannot be served, or a manifest. */
import { open } from "node:fs/promises";
import {
  openModel,
  type ReadOptions,
  stringOf,
  type GgufModel,
} from "../gguf/index.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { describeModel } from "./describe.ts";
import { SHARD_KEYS } from "./keys.ts";
import {
  decodeManifest,
  manifestId,
  MAX_MANIFEST_BYTES,
} from "./manifest-codec.ts";
import { shardCounts } from "./plan.ts";
import { projectorsBeside } from "./projectors.ts";
import { readShard } from "./shard.ts";

export type FileInfo = ModelInfo | ShardFileInfo | OtherGgufInfo | ManifestInfo;

/** What every GGUF has. */
export interface GgufInfo {
  /** Of a model in several files, their number. */
  files: number;
  sizeBytes: number;
  /** Undefined if the file does not say. */
  architecture: string | undefined;
  keyValues: number;
  /** How many of each type. */
  tensors: Record<string, number>;
}

export interface ModelInfo extends GgufInfo {
  kind: "model";
  name: string;
  layerCount: number;
  embeddingLength: number;
  contextLength: number;
  vocabSize: number;
  quantization: string;
  /** The embedding table is the head as well. */
  tied: boolean;
  /** Into how many shards it can be cut, ascending. */
  shardCounts: number[];
  /** Files beside it that turn images or sound into its input: left out, it is served as text. */
  projectors: string[];
}

export interface ShardFileInfo extends GgufInfo {
  kind: "shard";
  /** The id of its model. */
  manifest: string | undefined;
  layerStart: number;
  layerEnd: number;
  /** Of the whole model. */
  layerCount: number;
  /** It takes token ids, not activations. */
  isFirst: boolean;
  /** It gives logits, not activations. */
  isLast: boolean;
}

export interface OtherGgufInfo extends GgufInfo {
  kind: "gguf";
  /** Why it cannot be served. */
  reason: string;
}

export interface ManifestInfo {
  kind: "manifest";
  /** The model's id. */
  manifest: string;
  name: string;
  architecture: string;
  quantization: string;
  layerCount: number;
  parts: number;
  /** Of all parts. */
  sizeBytes: number;
}

/** Throws what reading a GGUF or a manifest throws. */
export async function inspectFile(
  path: string,
  options: ReadOptions = {},
): Promise<FileInfo> {
  if (path.endsWith(".cbor")) return await inspectManifest(path);
  const model = await openModel(path, options);
  const gguf = describeGguf(model);
  if (stringOf(model.metadata, SHARD_KEYS.manifest) !== undefined) {
    const shard = await readShard(path, options);
    const { layerStart, layerEnd, layerCount, isFirst, isLast } = shard;
    const range = { layerStart, layerEnd, layerCount, isFirst, isLast };
    return { kind: "shard", ...gguf, manifest: shard.manifestId, ...range };
  }
  try {
    const description = describeModel(model);
    const {
      recipe: _,
      parts: __,
      cuts: ___,
      layerCosts: ____,
      layerMemory: _____,
      ...about
    } = description;
    const shards = shardCounts(description);
    // What lies beside a file elsewhere is not known.
    const projectors =
      options.open === undefined ? await projectorsBeside(path) : [];
    return {
      kind: "model",
      ...gguf,
      ...about,
      shardCounts: shards,
      projectors,
    };
  } catch (error) {
    if (!isShoalError(error)) throw error;
    return { kind: "gguf", ...gguf, reason: error.message };
  }
}

function describeGguf({ metadata, tensors, files }: GgufModel): GgufInfo {
  const types = Map.groupBy(tensors, ({ type }) => type);
  return {
    files: files.length,
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
    architecture: stringOf(metadata, "general.architecture"),
    keyValues: metadata.size,
    tensors: Object.fromEntries(
      [...types].map(([name, of]) => [name, of.length]),
    ),
  };
}

async function inspectManifest(path: string): Promise<ManifestInfo> {
  const bytes = await manifestBytes(path);
  const manifest = decodeManifest(bytes);
  const { name, architecture, quantization, layerCount, parts } = manifest;
  return {
    kind: "manifest",
    manifest: manifestId(bytes),
    name,
    architecture,
    quantization,
    layerCount,
    parts: parts.length,
    sizeBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0),
  };
}

/** Reads no more than a manifest may have. */
async function manifestBytes(path: string): Promise<Uint8Array> {
  await using file = await open(path).catch((error: unknown) => {
    throw new ShoalError(
      "FILE_NOT_FOUND",
      `cannot read ${path}`,
      { path },
      error,
    );
  });
  const { size } = await file.stat();
  if (size <= MAX_MANIFEST_BYTES) return await file.readFile();
  throw new ShoalError(
    "MANIFEST_INVALID",
    `${path} has ${size} bytes, too many for a manifest`,
  );
}
