/** Who holds what, and whether the pipeline is complete and ready: a pure function of the records. Any node computes it. */
import type { Announcement } from "./announcement.ts";
import {
  type BatchMode,
  compare,
  type ComputeMode,
  computeModeOf,
  flagsOf,
  type KvType,
  sameComputeMode,
} from "../lib/index.ts";

export interface ShardView {
  /** The shard's number in the plan. */
  index: number;
  layerStart: number;
  layerEnd: number;
  holders: Announcement[];
  /** At least one holder is ready. */
  loaded: boolean;
}

export interface ClusterView extends ComputeMode {
  manifest: string;
  model: string;
  layerCount: number;
  /** Shards in the plan that most holders follow. */
  shardCount: number;
  /** The shards that someone holds, in order. */
  shards: ShardView[];
  /** Every layer is held by someone. */
  complete: boolean;
  /** Every layer has a ready holder: prompts can run. */
  ready: boolean;
  /** Numbers of the shards without a ready holder. */
  missing: number[];
}

/** The model that the cluster's record names. */
export interface Served {
  manifest: string;
  shards: number;
  kv?: KvType | undefined;
  batch?: BatchMode | undefined;
}

/**
 * Undefined if nobody is known. If members hold different models or compute in different modes, the `served` ones count; if none was
 * published, those with most holders. The order of the records does not matter. Impossible records (layers or numbers beyond the model) do not count, because anybody
 * can sign those.
 */
export function clusterView(
  announcements: readonly Announcement[],
  served?: Served,
): ClusterView | undefined {
  const live = announcements
    .filter(
      (a) =>
        a.state !== "gone" &&
        isPossible(a) &&
        (served === undefined || a.manifest === served.manifest),
    )
    .sort(inOrder);
  const model = mostCommon(live, (a) => a.manifest);
  if (model === undefined) return undefined;
  const { manifest } = model;
  const ofModel = live.filter((a) => a.manifest === manifest);
  const { layerCount } = mostCommon(ofModel, (a) => a.layerCount) ?? model;
  const sized = ofModel.filter((a) => a.layerCount === layerCount);
  const mode = computeModeOf(
    served ?? mostCommon(sized, (a) => flagsOf(computeModeOf(a))) ?? {},
  );
  const holders = sized.filter((a) => sameComputeMode(computeModeOf(a), mode));
  const { shard } = mostCommon(holders, (a) => a.shard.count) ?? model;
  const shardCount =
    served === undefined ? shard.count : Math.min(served.shards, layerCount);
  const shards = [
    ...Map.groupBy(holders, (a) => `${a.layerStart}-${a.layerEnd}`).values(),
  ].flatMap((group) => {
    const first = mostCommon(group, (a) => a.shard.index);
    if (first === undefined) return [];
    return [
      {
        index: first.shard.index,
        layerStart: first.layerStart,
        layerEnd: first.layerEnd,
        holders: group,
        loaded: group.some((a) => a.state === "ready"),
      },
    ];
  });
  shards.sort((a, b) => a.layerStart - b.layerStart || a.layerEnd - b.layerEnd);
  const reached = reachOf(shards.filter((s) => s.loaded));
  const ready = reached === layerCount;
  return {
    manifest,
    model: model.model,
    ...mode,
    layerCount,
    shardCount,
    shards,
    complete: reachOf(shards) === layerCount,
    ready,
    missing: ready
      ? []
      : missingOf(holders, shardCount, { layerCount, reached }),
  };
}

/** The plan's shards without a ready holder; if all have one but do not chain, the one where the chain breaks. */
function missingOf(
  holders: readonly Announcement[],
  shardCount: number,
  { layerCount, reached }: { layerCount: number; reached: number },
): number[] {
  const ofPlan = holders.filter((a) => a.shard.count === shardCount);
  const ready = new Set(
    ofPlan.filter((a) => a.state === "ready").map((a) => a.shard.index),
  );
  const missing = Array.from({ length: shardCount }, (_, i) => i).filter(
    (i) => !ready.has(i),
  );
  if (missing.length > 0) return missing;
  const atGap = ofPlan.find(
    (a) => a.layerStart <= reached && a.layerEnd > reached,
  );
  return [
    atGap?.shard.index ?? Math.floor((reached * shardCount) / layerCount),
  ];
}

function isPossible({
  layerStart,
  layerEnd,
  layerCount,
  shard,
}: Announcement): boolean {
  return (
    layerStart >= 0 &&
    layerStart < layerEnd &&
    layerEnd <= layerCount &&
    shard.index < shard.count &&
    shard.count <= layerCount
  );
}

/** The layer up to which whole ranges chain from layer 0. A range cannot be entered in its middle. */
function reachOf(
  ranges: readonly { layerStart: number; layerEnd: number }[],
): number {
  const reached = new Set([0]);
  for (const range of ranges)
    if (reached.has(range.layerStart)) reached.add(range.layerEnd); // ranges come sorted by start
  return Math.max(...reached);
}

/** By a record's content, not by its arrival; in a tie the first value wins. */
function inOrder(a: Announcement, b: Announcement): number {
  return (
    compare(a.peer, b.peer) ||
    a.layerStart - b.layerStart ||
    a.layerEnd - b.layerEnd ||
    b.seq - a.seq
  );
}

function mostCommon(
  announcements: readonly Announcement[],
  key: (a: Announcement) => string | number,
): Announcement | undefined {
  const groups = [...Map.groupBy(announcements, key)];
  groups.sort(
    ([a, those], [b, others]) =>
      others.length - those.length || compare(String(a), String(b)),
  );
  return groups[0]?.[1][0];
}
