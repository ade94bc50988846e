/**
 * Downloads a shard for a node that has nothing: the cluster's record names model and plan, the manifest names the parts, the parts come
 * from their holders, and the shard is assembled from them. Its content id is the same everywhere.
 */
import { access, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ClusterRecord, Membership } from "../cluster/index.ts";
import { MANIFEST_FILE } from "./model-parts.ts";
import { alignUp, DEFAULT_ALIGNMENT } from "../gguf/index.ts";
import {
  backoffMs,
  type ComputeMode,
  computeModeOf,
  type EventSink,
  formatBytes,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import {
  assembleFromParts,
  checkRange,
  checkShard,
  type LayerRange,
  type Manifest,
  type ManifestPart,
  partsOf,
  planLayers,
  readShard,
} from "../model/index.ts";
import type { Commands } from "../network/index.ts";
import { toRoot } from "../store/index.ts";
import type { SourceSpec } from "../transfer/index.ts";
import { fetchModel } from "./fetch-model.ts";
import { rangeOf, type ShardSource } from "./shard-source.ts";
import type { MemberFiles } from "./member-files.ts";

/** What a node holds or will hold. */
export interface PlannedShard {
  /** CID of the manifest. */
  id: string;
  manifest: Manifest;
  range: LayerRange;
  /** Its number in the plan: a name for people. */
  number: { index: number; count: number };
}

/** A cluster's model, as far as a node needs it before it has any weights. */
export interface ServedModel {
  /** CID of the manifest. */
  id: string;
  manifest: Manifest;
  manifestBytes: Uint8Array;
  /** A GGUF of all key-values and no weights. */
  metadataPath: string;
  /** Shards of the cluster's plan. */
  shards: number;
  /** How its stages compute. */
  mode: ComputeMode;
  /** URLs of the original files. */
  origin: readonly string[];
  /** Where its files are kept. */
  directory: string;
}

export interface ServedModelOptions {
  commands: Commands;
  membership: Membership;
  files: MemberFiles;
  /** Folder of all models. */
  modelsDir: string;
  events: EventSink;
  signal: AbortSignal;
}

/** Waits until a member says what the cluster serves and gives its manifest. */
export async function servedModel(
  options: ServedModelOptions,
): Promise<ServedModel> {
  const { membership, modelsDir, events, signal } = options;
  const served = await whatIsServed(membership, events, signal);
  const { manifest: id, shards, origin } = served;
  const mode = computeModeOf(served);
  const directory = join(modelsDir, id);
  const parts = await untilAnswered(events, signal, () =>
    fetchModel({ ...options, id, directory }),
  );
  const manifestBytes = await readFile(join(directory, MANIFEST_FILE));
  return { id, ...parts, manifestBytes, shards, mode, origin, directory };
}

/** Parts downloaded at once: enough to use several sources, few enough that each makes progress. */
const PARTS_AT_ONCE = 4;

export interface FetchShardOptions {
  files: MemberFiles;
  events: EventSink;
  signal: AbortSignal;
  /** Of all parts together. */
  onProgress?: (progress: { doneBytes: number; sizeBytes: number }) => void;
}

/** The layers `range` of the model, assembled from their parts; at once if that was done before. */
export async function fetchShard(
  model: ServedModel,
  range: LayerRange,
  options: FetchShardOptions,
): Promise<ShardSource> {
  const { id, manifest, directory, metadataPath } = model;
  const { signal } = options;
  const path = shardPath(model, range);
  const kept = await readShard(path).catch(() => undefined);
  if (kept === undefined) {
    const parts = partsOf(manifest, range);
    const partPath = (part: string): string =>
      part === "metadata" ? metadataPath : join(directory, "parts", part);
    await fetchPartsOfShard(model, parts, partPath, options);
    await assembleFromParts({ manifest, range, partPath, path, signal });
    for (const part of parts)
      if (part.id !== "metadata") await rm(partPath(part.id), { force: true }); // the shard shares them from here on
  }
  const shard = kept ?? (await readShard(path));
  checkShard(shard, manifest, range);
  const { manifestBytes } = model;
  return { id, manifest, manifestBytes, metadataPath, shard, range };
}

/** Whether these layers were fetched before. */
export async function isFetched(
  model: ServedModel,
  range: LayerRange,
): Promise<boolean> {
  return await access(shardPath(model, range)).then(
    () => true,
    () => false,
  );
}

function shardPath(
  { directory }: ServedModel,
  { layerStart, layerEnd }: LayerRange,
): string {
  return join(directory, `layers-${layerStart}-${layerEnd}.gguf`);
}

async function fetchPartsOfShard(
  model: ServedModel,
  all: readonly ManifestPart[],
  partPath: (part: string) => string,
  { files, events, signal, onProgress }: FetchShardOptions,
): Promise<void> {
  const parts = all.filter(({ id }) => id !== "metadata");
  await mkdir(join(model.directory, "parts"), { recursive: true });
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  events.info("TORRENT", `downloading ${parts.length} parts`, {
    size: formatBytes(sizeBytes),
    sizeBytes,
    model: model.id,
  });
  const done = new Map<string, number>();
  const tell = (part: string, doneBytes: number): void => {
    done.set(part, doneBytes);
    const sum = [...done.values()].reduce((a, b) => a + b, 0);
    onProgress?.({ doneBytes: sum, sizeBytes });
  };
  // In random order: members that want the same at the same time begin at different parts and feed each other.
  const waiting = parts
    .map((part) => ({ part, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ part }) => part)
    .values();
  const work = async (): Promise<void> => {
    for (const part of waiting) {
      await files.fetch({
        root: toRoot(part.root),
        sizeBytes: part.sizeBytes,
        path: partPath(part.id),
        name: `${part.id} of ${model.manifest.name}`,
        kind: "part",
        origin: originOf(part, model.origin),
        manifest: model.id,
        reuseLocal: true,
        signal,
        onProgress: ({ doneBytes }) => tell(part.id, doneBytes),
      });
      tell(part.id, part.sizeBytes);
    }
  };
  await Promise.all(Array.from({ length: PARTS_AT_ONCE }, work));
}

/** A part's bytes in the original files at an origin: its tensors, each padded with zeros. */
function originOf(
  { tensors }: ManifestPart,
  urls: readonly string[],
): SourceSpec | undefined {
  const ranges = tensors.flatMap(({ fileIndex, offset, sizeBytes }) => {
    const padding = alignUp(sizeBytes, DEFAULT_ALIGNMENT) - sizeBytes;
    const bytes = { url: urls[fileIndex] ?? "", offset, sizeBytes };
    return padding === 0
      ? [bytes]
      : [bytes, { url: "", offset: 0, sizeBytes: padding }];
  });
  const known = tensors.every(({ fileIndex }) => urls[fileIndex] !== undefined);
  return known ? { kind: "origin", ranges } : undefined;
}

/** A shard by its number in the cluster's plan, or by its layers. Throws MODEL_SHARDS. */
export function planOf(
  { id, manifest, shards: count }: ServedModel,
  wanted: { index: number } | LayerRange,
): PlannedShard {
  if ("index" in wanted) {
    const { index } = wanted;
    const range = rangeOf(manifest, index, count);
    return { id, manifest, range, number: { index, count } };
  }
  checkRange(manifest, wanted);
  // For a range that is not in the plan: the number of the shard it begins in.
  const index = planLayers(manifest, count).findLastIndex(
    ({ layerStart }) => layerStart <= wanted.layerStart,
  );
  const number = { index: Math.max(0, index), count };
  return { id, manifest, range: wanted, number };
}

/** What the cluster serves: by its own record, else by its members' announcements. Waits until it is known. */
async function whatIsServed(
  membership: Membership,
  events: EventSink,
  signal: AbortSignal,
): Promise<
  Pick<ClusterRecord, "manifest" | "shards" | "origin" | "kv" | "batch">
> {
  return await untilAnswered(events, signal, async () => {
    const record = membership.published();
    if (record !== undefined) return record;
    const view = membership.view();
    if (view !== undefined)
      return {
        manifest: view.manifest,
        shards: view.shardCount,
        kv: view.kv,
        batch: view.batch,
        origin: [],
      };
    throw new ShoalError(
      "SWARM_NOT_READY",
      "the cluster serves no model yet: publish one with `shoal seed`",
    );
  });
}

/** Tries until it works or the node stops; reports failures, once for each reason. */
async function untilAnswered<T>(
  events: EventSink,
  signal: AbortSignal,
  ask: () => Promise<T>,
): Promise<T> {
  let said = "";
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      if (message !== said)
        events.warn("TORRENT", `waiting: ${message}`, { code });
      said = message;
    }
    await sleep(backoffMs(attempt, { maxMs: 5_000 }), signal);
  }
}
