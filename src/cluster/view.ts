/** Who holds what, and whether the pipeline is complete and ready: a pure function of the records. Any node computes it. */
import type { Announcement } from "./announcement.ts";

export interface ShardView {
  /** The shard's number in the plan. */
  index: number;
  layerStart: number;
  layerEnd: number;
  holders: Announcement[];
  /** At least one holder is ready. */
  loaded: boolean;
}

export interface ClusterView {
  manifest: string;
  model: string;
  layerCount: number;
  /** Shards in the plan that most holders follow. */
  shardCount: number;
  /** The shards that someone holds, in order. */
  shards: ShardView[];
  /** Every layer is held by someone. */
  complete: boolean;
  /** Every layer is held by someone who is ready: prompts can run. */
  ready: boolean;
  /** Numbers of the shards without a ready holder. */
  missing: number[];
}

/** Undefined where nobody is known. Where members hold different models, the one with most holders counts. */
export function clusterView(
  announcements: readonly Announcement[],
): ClusterView | undefined {
  const model = mostCommon(announcements, (a) => a.manifest);
  if (model === undefined) return undefined;
  const holders = announcements.filter((a) => a.manifest === model.manifest);
  const shardCount =
    mostCommon(holders, (a) => a.shard.count)?.shard.count ?? 1;
  const shards = [
    ...Map.groupBy(holders, (a) => `${a.layerStart}-${a.layerEnd}`).values(),
  ].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { layerStart, layerEnd, shard } = first;
    return [
      {
        index: shard.index,
        layerStart,
        layerEnd,
        holders: group,
        loaded: group.some((a) => a.state === "ready"),
      },
    ];
  });
  shards.sort((a, b) => a.layerStart - b.layerStart || a.layerEnd - b.layerEnd);
  const ready = new Set(
    holders
      .filter((a) => a.state === "ready" && a.shard.count === shardCount)
      .map((a) => a.shard.index),
  );
  const layersReady = covers(
    shards.filter((s) => s.loaded),
    model.layerCount,
  );
  return {
    manifest: model.manifest,
    model: model.model,
    layerCount: model.layerCount,
    shardCount,
    shards,
    complete: covers(shards, model.layerCount),
    ready: layersReady,
    missing: layersReady
      ? []
      : Array.from({ length: shardCount }, (_, i) => i).filter(
          (i) => !ready.has(i),
        ),
  };
}

/** True where whole ranges chain from layer 0 to `layerCount`: a range can not be entered in its middle. */
function covers(
  ranges: readonly { layerStart: number; layerEnd: number }[],
  layerCount: number,
): boolean {
  const reached = new Set([0]);
  for (const range of ranges)
    if (reached.has(range.layerStart)) reached.add(range.layerEnd); // ranges come sorted by start
  return reached.has(layerCount);
}

function mostCommon(
  announcements: readonly Announcement[],
  key: (a: Announcement) => string | number,
): Announcement | undefined {
  const groups = [...Map.groupBy(announcements, key).values()];
  groups.sort(
    (a, b) =>
      b.length - a.length ||
      String(a[0] && key(a[0])).localeCompare(String(b[0] && key(b[0]))),
  );
  return groups[0]?.[0];
}
