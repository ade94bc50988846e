/** Is there room for the shard, on disk and in memory? */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import {
  leastRoom,
  memoryForShards,
  needsOf,
  type PlanShard,
  planShards,
  usableBytes,
} from "../placement/index.ts";
import { availableMemory, formatBytes } from "../lib/index.ts";
import { planLayers, shardCounts } from "../model/index.ts";
import type { Check, Examination } from "./examination.ts";
import { ok, problem, skipped } from "./finding.ts";

const ROOM = Object.freeze({
  /** Identity, peer database, manifest and vocabulary, which every role writes. */
  leastDiskBytes: 64 * 1024 * 1024,
});

export const checkDisk: Check = async (examination) => {
  const { paths, hasShard } = examination;
  const shard = hasShard === true ? undefined : wantedShard(examination);
  const needed = ROOM.leastDiskBytes + (shard?.weightBytes ?? 0);
  let free: number;
  try {
    free = await freeBytes(paths.data);
  } catch {
    return [skipped("disk", `the free space of ${paths.data} is not known`)];
  }
  const what =
    shard === undefined
      ? ""
      : ` for shard ${shard.index} and its working files`;
  const facts = {
    path: paths.data,
    free: formatBytes(free),
    needed: formatBytes(needed),
    freeBytes: free,
    neededBytes: needed,
  };
  return free < needed
    ? [
        problem(
          "disk",
          "DISK_FULL",
          `${paths.data} has ${formatBytes(free)} free; ${formatBytes(needed)} are needed${what}`,
          facts,
        ),
      ]
    : [ok("disk", `${formatBytes(free)} are free at ${paths.data}`, facts)];
};

export const checkMemory: Check = (examination) => {
  const { options, manifest } = examination;
  const { sessions, memoryBytes } = options;
  const free = memoryForShards({
    availableBytes: availableMemory(),
    gpus: examination.gpu?.devices ?? [],
    onGpusBytes: 0,
    isPartly: options.gpuLayers !== undefined,
  });
  const available = Math.min(free, memoryBytes ?? Infinity);
  const shard = wantedShard(examination);
  if (shard === undefined || manifest === undefined)
    return Promise.resolve([
      skipped(
        "memory",
        `${formatBytes(available)} are free; how much the shard needs is not known`,
      ),
    ]);
  const kv = "f16";
  const room = leastRoom(manifest, { ...options, sessions, kv });
  const { contextLength } = room;
  const { totalBytes, weightBytes, kvBytes } = needsOf(shard, room);
  const usable = Math.min(usableBytes(free), memoryBytes ?? Infinity);
  const needs = `shard ${shard.index} needs ${formatBytes(totalBytes)} (weights ${formatBytes(weightBytes)}, ${sessions} sessions of ${contextLength} tokens ${formatBytes(kvBytes)})`;
  const facts = { usableBytes: usable, neededBytes: totalBytes };
  return Promise.resolve([
    totalBytes > usable
      ? problem(
          "memory",
          "MEMORY_SHORT",
          `${needs}; ${formatBytes(usable)} may be used`,
          facts,
        )
      : ok("memory", `${needs}; ${formatBytes(usable)} may be used`, facts),
  ]);
};

/** The requested shard; for a node that takes any, the smallest missing one, else the smallest. */
function wantedShard({
  options,
  manifest,
  status,
}: Examination): PlanShard | undefined {
  if (manifest === undefined) return undefined;
  const { shard } = options;
  if (shard !== undefined && !("index" in shard))
    return planShards(manifest, [shard])[0];
  const count = shard?.count ?? status?.shardCount ?? undefined;
  if (count === undefined || !shardCounts(manifest).includes(count))
    return undefined;
  const plan = planShards(manifest, planLayers(manifest, count));
  if (shard !== undefined) return plan[shard.index];
  const missing = plan.filter(({ index }) => status?.missing.includes(index));
  return (missing.length > 0 ? missing : plan).toSorted(
    (a, b) => a.weightBytes - b.weightBytes,
  )[0];
}

/** The free space of the folder, or of its nearest existing parent. */
async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const above = dirname(folder);
    if (above === folder) throw error;
    return await freeBytes(above);
  }
}
