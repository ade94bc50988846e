/** Cuts a model into all its shards at once: what `shoal split` does. */
import { randomBytes } from "node:crypto";
import { mkdir, realpath, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openModel, writeAtomically } from "../gguf/index.ts";
import {
  checkDiskSpace,
  ShoalError,
  writeError,
  moveFile,
  removeTree,
} from "../lib/index.ts";
import { assembleShard } from "./assemble.ts";
import { buildManifest } from "./build-manifest.ts";
import { describeModel } from "./describe.ts";
import { shardLayout } from "./layout.ts";
import { partById, type Manifest, type Progress } from "./manifest.ts";
import { encodeManifest, manifestId } from "./manifest-codec.ts";
import { writeMetadata } from "./parts.ts";
import { checkShardCount, planLayers, type LayerRange } from "./plan.ts";

export interface SplitOptions {
  /** A GGUF, or any one file of a model in several. */
  path: string;
  shards: number;
  /** Created if it does not exist. */
  outDir: string;
  signal?: AbortSignal;
  /** First the model is read and hashed ("index"), then the shards are written ("write"). */
  onProgress?: (progress: Progress & { phase: "index" | "write" }) => void;
}

export interface SplitResult {
  manifest: Manifest;
  id: string;
  shards: readonly (LayerRange & { path: string; sizeBytes: number })[];
}

/**
 * Writes shard-0.gguf …, manifest.cbor and metadata.gguf, or nothing if anything fails: they are written into a temporary folder and moved
 * at the end.
 */
export async function splitModel(options: SplitOptions): Promise<SplitResult> {
  const { path, shards, outDir, signal, onProgress } = options;
  const abort = signal === undefined ? {} : { signal };
  const source = await openModel(path, abort);
  // Checked before an hour of hashing, not after.
  checkShardCount(describeModel(source), shards);
  const manifest = await buildManifest(source, {
    ...abort,
    onProgress: (progress) => onProgress?.({ ...progress, phase: "index" }),
  });
  const ranges = planLayers(manifest, shards);
  const sizes = ranges.map(
    (range) => shardLayout(manifest, source.metadata, range).sizeBytes,
  );
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  const manifestBytes = encodeManifest(manifest);
  const names = [
    ...ranges.map((_, i) => `shard-${i}.gguf`),
    "manifest.cbor",
    "metadata.gguf",
  ];
  return await inPlaceOf(outDir, names, async (work) => {
    await refuseToOverwrite(source.files, outDir, names);
    await checkDiskSpace(
      work,
      totalBytes +
        manifestBytes.length +
        partById(manifest, "metadata").sizeBytes,
    );
    let before = 0;
    for (const [i, range] of ranges.entries()) {
      await assembleShard({
        ...abort,
        source,
        manifest,
        range,
        path: join(work, `shard-${i}.gguf`),
        verify: false,
        onProgress: ({ doneBytes }) =>
          onProgress?.({
            doneBytes: before + doneBytes,
            totalBytes,
            phase: "write",
          }),
      });
      before += sizes[i] ?? 0;
    }
    await writeAtomically(join(work, "manifest.cbor"), abort, (output) =>
      output.write(manifestBytes),
    );
    await writeMetadata(source, join(work, "metadata.gguf"), abort);
    return {
      manifest,
      id: manifestId(manifestBytes),
      shards: ranges.map(({ layerStart, layerEnd }, i) => ({
        layerStart,
        layerEnd,
        path: join(outDir, `shard-${i}.gguf`),
        sizeBytes: sizes[i] ?? 0,
      })),
    };
  });
}

/** Runs `work` in a folder inside `outDir`, then moves the results. On failure everything is unchanged. */
async function inPlaceOf<T>(
  outDir: string,
  names: readonly string[],
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = join(outDir, `.split-${randomBytes(6).toString("hex")}`);
  const made = await mkdir(folder, { recursive: true }).catch(
    (error: unknown) => {
      throw writeError(error, outDir);
    },
  );
  try {
    const result = await work(folder);
    for (const name of names)
      await moveFile(join(folder, name), join(outDir, name));
    await rm(folder, { recursive: true });
    return result;
  } catch (error) {
    await removeTree(folder);
    // `made` is the topmost folder that did not exist before.
    if (made !== undefined) await removeEmpty(outDir, dirname(made));
    throw writeError(error, outDir);
  }
}

/** Removes `folder` and the folders above it, up to but not including `top`, as far as they are empty. */
async function removeEmpty(folder: string, top: string): Promise<void> {
  for (let at = folder; at !== top && at !== dirname(at); at = dirname(at)) {
    const isGone = await rmdir(at).then(
      () => true,
      () => false,
    );
    if (!isGone) return;
  }
}

/** The model itself may be in the folder, even under a shard's name. */
async function refuseToOverwrite(
  files: readonly { path: string }[],
  outDir: string,
  names: readonly string[],
): Promise<void> {
  const folder = await realpath(outDir);
  const targets = new Set(names.map((name) => join(folder, name)));
  for (const { path } of files) {
    if (!targets.has(await realpath(path))) continue;
    throw new ShoalError(
      "USAGE",
      `the shards would overwrite the model itself, ${path}: choose another folder`,
      { path },
    );
  }
}
