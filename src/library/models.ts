import { z } from "zod";
import {
  checkModel,
  inspectModelFile,
  verifyShards as verify,
  type VerifyResult,
} from "../engine/index.ts";
import { reasonOf, ShoalError } from "../lib/index.ts";
import {
  type FileInfo,
  type LayerRange,
  splitModel as split,
} from "../model/index.ts";
import { callback, check, signal, text, whole } from "./check.ts";

export interface SplitOptions {
  /** The GGUF; of a model in several files, any one. */
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
  /** The GGUF. */
  model: string;
  /** How many shards to cut it into. Default: 2. */
  shards?: number | undefined;
  /** Threads that compute. Default: 1. */
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface VerifyReport extends VerifyResult {
  /** The shards give the whole model's logits, bit for bit. */
  exact: boolean;
}

const model = text("the path of a GGUF");
const shards = whole(1, 65_535);
const splitSchema = z.strictObject({
  model,
  shards,
  outDir: text("a folder"),
  onProgress: callback<(progress: SplitProgress) => void>().optional(),
  signal: signal.optional(),
});
const inspectSchema = z.strictObject({
  path: text("the path of a GGUF or a manifest"),
  signal: signal.optional(),
});
const verifySchema = z.strictObject({
  model,
  shards: shards.default(2),
  threads: whole(1, 1024).default(1),
  signal: signal.optional(),
});

/** Cuts a model into shard files that llama.cpp loads. Writes all of them or nothing. */
export async function splitModel(options: SplitOptions): Promise<SplitResult> {
  const given = check("splitModel", splitSchema, options);
  const { outDir, onProgress, signal: ending } = given;
  return await asOurs(ending, async () => {
    await checkModel(given.model);
    const result = await split({
      path: given.model,
      shards: given.shards,
      outDir,
      ...(ending && { signal: ending }),
      ...(onProgress && { onProgress }),
    });
    const { id, manifest } = result;
    return { manifest: id, name: manifest.name, shards: result.shards };
  });
}

/** What a file is: a model, a shard of one, another GGUF, or a manifest. Reads no weights. */
export async function inspectModel(
  path: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<FileInfo> {
  const given = check("inspectModel", inspectSchema, { path, ...options });
  const { signal: ending } = given;
  return await asOurs(ending, () =>
    inspectModelFile(path, ending === undefined ? {} : { signal: ending }),
  );
}

/** Proves on the real engine that a model's shards compute what the whole file computes. Needs memory and disk for the model twice. */
export async function verifyShards(
  options: VerifyOptions,
): Promise<VerifyReport> {
  const given = check("verifyShards", verifySchema, options);
  const { signal: ending = new AbortController().signal } = given;
  const result = await asOurs(ending, () =>
    verify({
      path: given.model,
      shards: given.shards,
      threads: given.threads,
      signal: ending,
    }),
  );
  const { prefillDifference, decodeDifference } = result;
  return {
    ...result,
    exact: prefillDifference === 0 && decodeDifference === 0,
  };
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
