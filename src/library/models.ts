import { z } from "zod";
import {
  checkModel,
  chooseGpu,
  engineOn,
  inspectModelFile,
  verifyShards as verify,
  type VerifyResult,
} from "../engine/index.ts";
import { findModel, localFiles, localModel } from "../hub/index.ts";
import {
  Events,
  type Paths,
  reasonOf,
  resolvePaths,
  ShoalError,
} from "../lib/index.ts";
import {
  type FileInfo,
  type LayerRange,
  splitModel as split,
} from "../model/index.ts";
import {
  callback,
  check,
  gpuFields,
  MODEL,
  signal,
  text,
  whole,
} from "./check.ts";

export interface SplitOptions {
  /** The GGUF (of a model in several files, any one), or a reference like `hf:owner/repo:Q4_K_M`: what is not here is fetched. */
  model: string;
  /** How many shards to cut it into. */
  shards: number;
  /** The folder for the shards, `manifest.cbor` and `metadata.gguf`; made if it is not there. */
  outDir: string;
  /** The model is read twice: first hashed ("index"), then written ("write"). */
  onProgress?: ((progress: SplitProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface SplitProgress {
  phase: "index" | "write";
  doneBytes: number;
  totalBytes: number;
}

export interface SplitResult {
  /** The model's id, the same for everybody who has these bytes. */
  manifest: string;
  /** The model's name. */
  name: string;
  shards: readonly (LayerRange & { path: string; sizeBytes: number })[];
}

export interface VerifyOptions {
  /** The GGUF, or a reference like `hf:owner/repo:Q4_K_M`. */
  model: string;
  /** How many shards to cut it into. Default: 2. */
  shards?: number | undefined;
  /** Threads that compute. Default: 1. */
  threads?: number | undefined;
  /** "auto", "off", or a graphics card's name. Default: "auto". */
  gpu?: string | undefined;
  /** Layers to put on the graphics card. Default: all. */
  gpuLayers?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface VerifyReport extends VerifyResult {
  /** The shards give the whole model's logits, bit for bit. */
  exact: boolean;
}

export interface FetchModelOptions {
  /** `hf:owner/repo:Q4_K_M`, `hf:owner/repo/file.gguf`, `https://…`, or a path, which is returned as it is. */
  model: string;
  onProgress?: ((progress: FetchProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface FetchProgress {
  /** The file's name. */
  name: string;
  doneBytes: number;
  sizeBytes: number;
  bytesPerSecond: number;
}

export interface FetchedModel {
  /** The first file: what other functions take as `model`. */
  path: string;
  files: readonly string[];
}

const model = text(MODEL);
const shards = whole(1, 65_535);
const splitSchema = z.strictObject({
  model,
  shards,
  outDir: text("a folder"),
  onProgress: callback<(progress: SplitProgress) => void>().optional(),
  signal: signal.optional(),
});
const fetchSchema = z.strictObject({
  model,
  onProgress: callback<(progress: FetchProgress) => void>().optional(),
  signal: signal.optional(),
});
const inspectSchema = z.strictObject({
  path: text(`${MODEL}, or the path of a manifest`),
  signal: signal.optional(),
});
const verifySchema = z.strictObject({
  model,
  shards: shards.default(2),
  threads: whole(1, 1024).default(1),
  ...gpuFields,
  signal: signal.optional(),
});

/** Cuts a model into shard files that llama.cpp loads. Writes all of them or nothing. */
export async function splitModel(options: SplitOptions): Promise<SplitResult> {
  const given = check("splitModel", splitSchema, options);
  const { outDir, onProgress, signal: ending } = given;
  return await asOurs(ending, async () => {
    const path = await localModel(given.model, {
      ...surroundings(ending),
      shards: given.shards,
    });
    await checkModel(path);
    const result = await split({
      path,
      shards: given.shards,
      outDir,
      ...(ending && { signal: ending }),
      ...(onProgress && { onProgress }),
    });
    const { id, manifest } = result;
    return { manifest: id, name: manifest.name, shards: result.shards };
  });
}

/** What a file is: a model, a shard of one, another GGUF, or a manifest. Reads no weights; of a file that has to be fetched, only the header. */
export async function inspectModel(
  path: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<FileInfo> {
  const given = check("inspectModel", inspectSchema, { path, ...options });
  const { signal: ending } = given;
  return await asOurs(ending, async () => {
    const { signal: until, ...rest } = surroundings(ending);
    const found = await findModel(path, { ...rest, signal: until });
    const { open, isHere } = found;
    return await inspectModelFile(found.path, {
      signal: until,
      ...(open !== undefined && !isHere && { open }),
    });
  });
}

/** Proves on the real engine that a model's shards compute what the whole file computes. Needs memory and disk for the model twice. */
export async function verifyShards(
  options: VerifyOptions,
): Promise<VerifyReport> {
  const given = check("verifyShards", verifySchema, options);
  const { signal: ending = new AbortController().signal } = given;
  const { shards: count, threads } = given;
  const result = await asOurs(ending, async () => {
    const around = { ...surroundings(ending), shards: count };
    const path = await localModel(given.model, around);
    const on = engineOn(await chooseGpu(given.gpu), given.gpuLayers);
    return await verify({ path, shards: count, threads, on, signal: ending });
  });
  const { prefillDifference, decodeDifference } = result;
  return {
    ...result,
    exact: prefillDifference === 0 && decodeDifference === 0,
  };
}

/** The model's files on this disk. What is not there is fetched, and continued if it was begun. */
export async function fetchModel(
  options: FetchModelOptions,
): Promise<FetchedModel> {
  const given = check("fetchModel", fetchSchema, options);
  const { model: reference, signal: ending, onProgress } = given;
  return await asOurs(ending, async () => {
    const { path, files } = await localFiles(reference, {
      ...surroundings(ending),
      onProgress,
    });
    return { path, files };
  });
}

/** For functions that have no events and no home of their own. */
function surroundings(ending: AbortSignal | undefined): {
  events: Events;
  paths: Paths;
  signal: AbortSignal;
} {
  const { signal: never } = new AbortController();
  const events = new Events();
  return { events, paths: resolvePaths(undefined), signal: ending ?? never };
}

/** An abort is told as ABORTED, whatever the program gave as its reason. */
async function asOurs<T>(
  ending: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (ending?.aborted === true) throw reasonOf(ending);
    throw ShoalError.from(error);
  }
}
