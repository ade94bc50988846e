/**
 * Where a node's shard comes from: a folder written by `shoal split`, or one with an original GGUF, from which the shard is assembled once
 * and kept.
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MANIFEST_FILE, METADATA_FILE } from "./model-parts.ts";
import { openModel } from "../gguf/index.ts";
import {
  type EventSink,
  formatBytes,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import {
  assembleShard,
  buildManifest,
  checkShard,
  decodeManifest,
  encodeManifest,
  type LayerRange,
  type Manifest,
  manifestId,
  planLayers,
  readShard,
  type ShardInfo,
  writeMetadata,
} from "../model/index.ts";

export interface ShardSource {
  id: string;
  manifest: Manifest;
  manifestBytes: Uint8Array;
  metadataPath: string;
  shard: ShardInfo;
  range: LayerRange;
}

export interface ShardWanted {
  modelDir: string;
  index: number;
  count: number;
  /** Where assembled shards are kept, by model. */
  modelsDir: string;
  events: EventSink;
  signal: AbortSignal;
}

/** Throws SHARD_NOT_FOUND, SHARD_FOREIGN, or the files' errors. */
export async function findShard(wanted: ShardWanted): Promise<ShardSource> {
  const { modelDir } = wanted;
  const names = await readdir(modelDir).catch((error: unknown) => {
    throw new ShoalError(
      "FILE_NOT_FOUND",
      `no folder ${modelDir}`,
      { path: modelDir },
      error,
    );
  });
  if (names.includes(MANIFEST_FILE)) return await fromSplit(wanted);
  const original = await findOriginal(modelDir, names);
  if (original === undefined) {
    throw new ShoalError(
      "SHARD_NOT_FOUND",
      `${modelDir} has neither a ${MANIFEST_FILE} with shards nor a model's GGUF`,
      {
        path: modelDir,
      },
    );
  }
  return await fromOriginal(wanted, original);
}

/** The range of shard `index` of `count`. Throws MODEL_SHARDS if the number does not exist. */
export function rangeOf(
  manifest: Manifest,
  index: number,
  count: number,
): LayerRange {
  const range = planLayers(manifest, count)[index];
  if (range === undefined) {
    throw new ShoalError(
      "MODEL_SHARDS",
      `there is no shard ${index} of ${count}: they are numbered 0 to ${count - 1}`,
      { index, count },
    );
  }
  return range;
}

async function fromSplit(wanted: ShardWanted): Promise<ShardSource> {
  const { modelDir, index, count } = wanted;
  const manifestBytes = await readFile(join(modelDir, MANIFEST_FILE));
  const manifest = decodeManifest(manifestBytes);
  const id = manifestId(manifestBytes);
  const range = rangeOf(manifest, index, count);
  const path = join(modelDir, `shard-${index}.gguf`);
  const shard = await readShard(path).catch((error: unknown) => {
    if (!isShoalError(error, "FILE_NOT_FOUND")) throw error;
    throw new ShoalError(
      "SHARD_NOT_FOUND",
      `${modelDir} has no shard-${index}.gguf`,
      { path, index },
      error,
    );
  });
  checkShard(shard, manifest, range);
  return {
    id,
    manifest,
    manifestBytes,
    metadataPath: join(modelDir, METADATA_FILE),
    shard,
    range,
  };
}

async function findOriginal(
  modelDir: string,
  names: readonly string[],
): Promise<string | undefined> {
  // The first file stands for all of a model in several files.
  const models = names.filter(
    (name) =>
      name.endsWith(".gguf") && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/.test(name),
  );
  if (models.length > 1) {
    throw new ShoalError(
      "USAGE",
      `${modelDir} has several models (${models.join(", ")}): use a folder with one`,
      { models },
    );
  }
  return models[0] === undefined ? undefined : join(modelDir, models[0]);
}

async function fromOriginal(
  wanted: ShardWanted,
  path: string,
): Promise<ShardSource> {
  const { index, count, modelsDir, events, signal } = wanted;
  const source = await openModel(path);
  events.info("TENSOR_LOAD", "indexing the model", {
    file: path,
    size: formatBytes(source.files.reduce((sum, f) => sum + f.sizeBytes, 0)),
  });
  const manifest = await buildManifest(source, { signal });
  const manifestBytes = encodeManifest(manifest);
  const id = manifestId(manifestBytes);
  const range = rangeOf(manifest, index, count);
  const directory = join(modelsDir, id);
  await mkdir(directory, { recursive: true });
  const metadataPath = join(directory, METADATA_FILE);
  await writeMetadata(source, metadataPath);
  await writeFile(join(directory, MANIFEST_FILE), manifestBytes);
  const shardPath = join(
    directory,
    `layers-${range.layerStart}-${range.layerEnd}.gguf`,
  );
  const kept = await readShard(shardPath).catch(() => undefined);
  if (kept === undefined)
    await assembleShard({ source, manifest, range, path: shardPath, signal });
  const shard = kept ?? (await readShard(shardPath));
  checkShard(shard, manifest, range);
  return { id, manifest, manifestBytes, metadataPath, shard, range };
}
