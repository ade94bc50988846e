/** Which layers each of n shards takes: contiguous, the largest shard as small as possible, the others as even as possible. */
import { ShoalError } from "../lib/index.ts";

/** Half-open: layers layerStart to layerEnd - 1. */
export interface LayerRange {
  layerStart: number;
  layerEnd: number;
}

/** What planning needs of a manifest. */
export interface PlannedModel {
  layerCount: number;
  tied: boolean;
  parts: readonly { id: string; sizeBytes: number }[];
}

/** Throws MODEL_SHARDS: a shard has at least one layer, so there are at most as many as layers. */
export function planLayers(model: PlannedModel, shards: number): LayerRange[] {
  const { layerCount } = model;
  checkShardCount(layerCount, shards);
  const weigh = weighing(model);
  const limit = smallestLimit(weigh, layerCount, shards);
  return evenest(weigh, layerCount, shards, limit);
}

export function checkShardCount(layerCount: number, shards: number): void {
  if (Number.isInteger(shards) && shards >= 1 && shards <= layerCount) return;
  throw new ShoalError(
    "MODEL_SHARDS",
    `a model of ${layerCount} layers can be cut into 1 to ${layerCount} shards, not ${shards}`,
    { layerCount, shards },
  );
}

export function checkRange(layerCount: number, range: LayerRange): void {
  const { layerStart, layerEnd } = range;
  const isRange =
    Number.isInteger(layerStart) &&
    Number.isInteger(layerEnd) &&
    layerStart >= 0 &&
    layerStart < layerEnd &&
    layerEnd <= layerCount;
  if (isRange) return;
  throw new ShoalError(
    "MODEL_SHARDS",
    `a model of ${layerCount} layers has no layers ${layerStart}-${layerEnd - 1}: they are numbered 0 to ${layerCount - 1}`,
    { layerCount, layerStart, layerEnd },
  );
}

/** Bytes of a shard of these layers. */
type Weigh = (layerStart: number, layerEnd: number) => number;

/** The embedding table counts for the first shard, the head for the last; a tied head counts the table again. */
function weighing({ layerCount, tied, parts }: PlannedModel): Weigh {
  const sizes = new Map(parts.map(({ id, sizeBytes }) => [id, sizeBytes]));
  const before = [0];
  for (let i = 0; i < layerCount; i++)
    before.push((before[i] ?? 0) + (sizes.get(`layer.${i}`) ?? 0));
  const embedding = sizes.get("embedding") ?? 0;
  const head = (sizes.get("output") ?? 0) + (tied ? embedding : 0);
  return (start, end) =>
    (before[end] ?? 0) -
    (before[start] ?? 0) +
    (start === 0 ? embedding : 0) +
    (end === layerCount ? head : 0);
}

/** The smallest possible weight of the largest shard, by bisection: a limit is tested by filling shards from the left. */
function smallestLimit(
  weigh: Weigh,
  layerCount: number,
  shards: number,
): number {
  const canFit = (limit: number): boolean => {
    let start = 0;
    for (let left = shards; left > 0; left--) {
      if (left === 1) return weigh(start, layerCount) <= limit;
      // Leaves one layer for each remaining shard.
      const most = layerCount - (left - 1);
      let end = start + 1;
      if (weigh(start, end) > limit) return false;
      while (end < most && weigh(start, end + 1) <= limit) end++;
      start = end;
    }
    return false;
  };
  let low = 0;
  let high = weigh(0, layerCount);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (canFit(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Of the plans within the limit, the one with the smallest sum of squares; among equal ones, the one with longer shards first. */
function evenest(
  weigh: Weigh,
  layerCount: number,
  shards: number,
  limit: number,
): LayerRange[] {
  // cost[start]: cost of the best plan for the layers from `start` on with the shards considered so far; ends[k][start]: its first end.
  let cost: number[] = Array.from({ length: layerCount + 1 }, () => Infinity);
  cost[layerCount] = 0;
  const ends: number[][] = [];
  for (let used = 1; used <= shards; used++) {
    const next: number[] = Array.from(cost, () => Infinity);
    const end: number[] = [];
    for (let start = layerCount - used; start >= 0; start--) {
      for (let stop = start + 1; stop <= layerCount - used + 1; stop++) {
        const weight = weigh(start, stop);
        if (weight > limit) break;
        const total = (weight / limit) ** 2 + (cost[stop] ?? Infinity);
        if (total <= (next[start] ?? Infinity) && total < Infinity) {
          next[start] = total;
          end[start] = stop;
        }
      }
    }
    cost = next;
    ends.push(end);
  }
  const ranges: LayerRange[] = [];
  for (let start = 0; ranges.length < shards;) {
    const layerEnd = ends[shards - 1 - ranges.length]?.[start] ?? layerCount;
    ranges.push({ layerStart: start, layerEnd });
    start = layerEnd;
  }
  return ranges;
}
