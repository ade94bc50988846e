/**
 * A shard for a node that has nothing: the cluster's record names model and plan, the manifest names the parts, the parts come
 * from whoever has them, and the shard is put together from them. Its content id is everybody's.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  fetchParts,
  MANIFEST_FILE,
  type Membership,
} from "../cluster/index.ts";
import { alignUp, DEFAULT_ALIGNMENT } from "../gguf/index.ts";
import {
  backoffMs,
  type EventSink,
  formatBytes,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import {
  assembleFromParts,
  checkShard,
  type LayerRange,
  type Manifest,
  type ManifestPart,
  partsOf,
  planLayers,
  readShard,
} from "../model/index.ts";
import type { Commands } from "../network/index.ts";
import { type SourceSpec, toRoot } from "../torrent/index.ts";
import { rangeOf, type ShardSource } from "./shard-source.ts";
import type { Torrents } from "./torrents.ts";

/** What a node holds, or is about to. */
export interface PlannedShard {
  /** CID of the manifest. */
  id: string;
  manifest: Manifest;
  range: LayerRange;
  /** Its number in the plan: a name for people. */
  number: { index: number; count: number };
}

export interface FetchShardOptions {
  commands: Commands;
  membership: Membership;
  torrents: Torrents;
  /** The shard's number in the cluster's plan, or its layers. */
  wanted: { index: number } | LayerRange;
  /** Folder of all models. */
  modelsDir: string;
  events: EventSink;
  signal: AbortSignal;
  /** What is being fetched is known from here on. */
  onPlanned: (planned: PlannedShard) => void;
}

/** Parts that are fetched at once: enough to use several sources, few enough that each gets somewhere. */
const PARTS_AT_ONCE = 4;

export async function fetchShard(
  options: FetchShardOptions,
): Promise<ShardSource & PlannedShard> {
  const { commands, membership, torrents, wanted, modelsDir, events, signal } =
    options;
  const served = await whatIsServed(membership, events, signal);
  const id = served.manifest;
  const directory = join(modelsDir, id);
  const { manifest, metadataPath } = await untilAnswered(
    events,
    signal,
    async () => {
      const holders = [
        ...membership.announcements(),
        ...(await torrents.holdersOf(id)),
      ];
      return await fetchParts(commands, id, holders, directory);
    },
  );
  const manifestBytes = await readFile(join(directory, MANIFEST_FILE));
  const { range, number } = planOf(manifest, wanted, served.shards);
  options.onPlanned({ id, manifest, range, number });
  const path = join(
    directory,
    `layers-${range.layerStart}-${range.layerEnd}.gguf`,
  );
  const kept = await readShard(path).catch(() => undefined);
  if (kept === undefined) {
    const partsDir = join(directory, "parts");
    await mkdir(partsDir, { recursive: true });
    const partPath = (id: string): string =>
      id === "metadata" ? metadataPath : join(partsDir, id);
    const parts = partsOf(manifest, range).filter(
      ({ id }) => id !== "metadata",
    );
    const totalBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    events.info("TORRENT", `fetching ${parts.length} parts`, {
      size: formatBytes(totalBytes),
      model: id,
    });
    const waiting = parts.values();
    const work = async (): Promise<void> => {
      for (const part of waiting) {
        await torrents.fetch({
          root: toRoot(part.root),
          sizeBytes: part.sizeBytes,
          path: partPath(part.id),
          name: `${part.id} of ${manifest.name}`,
          kind: "part",
          origin: originOf(part, served.origin),
          manifest: id,
          signal,
        });
      }
    };
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, work));
    await assembleFromParts({ manifest, range, partPath, path, signal });
    await Promise.all(
      parts.map((part) => rm(partPath(part.id), { force: true })),
    ); // the shard serves them from here on
  }
  const shard = kept ?? (await readShard(path));
  checkShard(shard, manifest, range);
  return { id, manifest, manifestBytes, metadataPath, shard, range, number };
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

function planOf(
  manifest: Manifest,
  wanted: FetchShardOptions["wanted"],
  count: number,
): Pick<PlannedShard, "range" | "number"> {
  if ("index" in wanted) {
    const { index } = wanted;
    return { range: rangeOf(manifest, index, count), number: { index, count } };
  }
  // Of a range that is not the plan's: the number of the shard it begins in.
  const index = planLayers(manifest, count).findLastIndex(
    ({ layerStart }) => layerStart <= wanted.layerStart,
  );
  return { range: wanted, number: { index: Math.max(0, index), count } };
}

/** What the cluster serves: by its own record, else by what its members hold. Waits until somebody says. */
async function whatIsServed(
  membership: Membership,
  events: EventSink,
  signal: AbortSignal,
): Promise<{ manifest: string; shards: number; origin: readonly string[] }> {
  return await untilAnswered(events, signal, async () => {
    const record = membership.published();
    if (record !== undefined) return record;
    const view = membership.view();
    if (view !== undefined)
      return {
        manifest: view.manifest,
        shards: view.shardCount,
        origin: [],
      };
    throw new ShoalError(
      "SWARM_NOT_READY",
      "the cluster serves no model yet: publish one with `shoal seed`",
    );
  });
}

/** Tries until it works or the node stops; says why it does not, once for each reason. */
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
