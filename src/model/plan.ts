/** Which layers each of n shards takes: contiguous, cut where the model may be cut, the heaviest shard as light as possible. */
import { ShoalError } from "../lib/index.ts";

/** Half-open: layers layerStart to layerEnd - 1. */
export interface LayerRange {
  layerStart: number;
  layerEnd: number;
}

/** Which ranges of layers may be a shard. The whole model always may. */
export interface CutRules {
  /** The model may be cut before these layers: ascending, without 0 and the number of layers. */
  borders: readonly number[];
  /** Sets of layers. Every shard holds at least one layer of each. */
  needs: readonly (readonly number[])[];
  /** Numbers of layers that a shard may not have. */
  refusedLengths: readonly number[];
}

/** What planning needs of a manifest. */
export interface PlannedModel {
  layerCount: number;
  tied: boolean;
  cuts: CutRules;
  /** Bytes of each layer that one token reads: of many experts only those that are used. */
  layerCosts: readonly number[];
  parts: readonly { id: string; sizeBytes: number }[];
}

type CutModel = Pick<PlannedModel, "layerCount" | "cuts">;

/**
 * Every node computes the same plan from the manifest alone. Bytes decide, because memory is what a machine lacks: the heaviest shard is as
 * light as possible. Among such plans the one wins whose shards are the most even in bytes and in the cost of a token. Throws MODEL_SHARDS.
 */
export function planLayers(model: PlannedModel, shards: number): LayerRange[] {
  checkShardCount(model, shards);
  const { layerCount } = model;
  const isShard = shardTest(model);
  const { bytesOf, costOf } = weighing(model);
  const heaviest = bestPlan(layerCount, shards, isShard, {
    cost: bytesOf,
    join: Math.max,
  });
  const limit = Math.max(...heaviest.map((range) => bytesOf(range)), 1);
  const meanCost = costOf({ layerStart: 0, layerEnd: layerCount }) / shards;
  return bestPlan(layerCount, shards, isShard, {
    cost: (range) => {
      const bytes = bytesOf(range);
      return bytes > limit
        ? Infinity
        : (bytes / limit) ** 2 + (costOf(range) / (meanCost || 1)) ** 2;
    },
    join: (a, b) => a + b,
  });
}

/** Throws MODEL_SHARDS: the model cannot be cut into so many shards. It says into how many it can. */
export function checkShardCount(model: CutModel, shards: number): void {
  const counts = shardCounts(model);
  if (counts.includes(shards)) return;
  const { layerCount } = model;
  throw new ShoalError(
    "MODEL_SHARDS",
    `a model of ${layerCount} layers can be cut into ${listOfCounts(counts)} shards, not ${shards}`,
    { layerCount, shards, possible: counts },
  );
}

/** Into how many shards a model can be cut, ascending. */
export function shardCounts(model: CutModel): number[] {
  const { layerCount } = model;
  const isShard = shardTest(model);
  // Bit k of counts[start]: the layers from `start` on can be k shards.
  const counts = Array.from({ length: layerCount + 1 }, () => 0n);
  counts[layerCount] = 1n;
  for (let start = layerCount - 1; start >= 0; start--)
    for (let end = start + 1; end <= layerCount; end++)
      if (isShard({ layerStart: start, layerEnd: end }))
        counts[start] = (counts[start] ?? 0n) | ((counts[end] ?? 0n) << 1n);
  const bits = counts[0] ?? 0n;
  return Array.from({ length: layerCount }, (_, i) => i + 1).filter(
    (count) => ((bits >> BigInt(count)) & 1n) === 1n,
  );
}

/** Throws MODEL_SHARDS: the model has no such layers, or may not be cut there. */
export function checkRange(model: CutModel, range: LayerRange): void {
  const { layerCount } = model;
  const { layerStart, layerEnd } = range;
  const isRange =
    Number.isInteger(layerStart) &&
    Number.isInteger(layerEnd) &&
    layerStart >= 0 &&
    layerStart < layerEnd &&
    layerEnd <= layerCount;
  const refuse = (why: string): never => {
    throw new ShoalError("MODEL_SHARDS", why, {
      layerCount,
      layerStart,
      layerEnd,
    });
  };
  if (!isRange) {
    refuse(
      `a model of ${layerCount} layers has no layers ${layerStart}-${layerEnd - 1}: they are numbered 0 to ${layerCount - 1}`,
    );
  }
  if (!shardTest(model)(range))
    refuse(
      `layers ${layerStart}-${layerEnd - 1} of ${layerCount} cannot be a shard: this model may not be cut there`,
    );
}

/** Whether a range may be a shard. */
export function shardTest({
  layerCount,
  cuts,
}: CutModel): (range: LayerRange) => boolean {
  const borders = new Set([0, ...cuts.borders, layerCount]);
  const lengths = new Set(cuts.refusedLengths);
  // has[set][i]: how many of the first i layers are in the set.
  const has = cuts.needs.map((set) => {
    const layers = new Set(set);
    const before = [0];
    for (let i = 0; i < layerCount; i++)
      before.push((before[i] ?? 0) + (layers.has(i) ? 1 : 0));
    return before;
  });
  return ({ layerStart, layerEnd }) =>
    (layerStart === 0 && layerEnd === layerCount) ||
    (borders.has(layerStart) &&
      borders.has(layerEnd) &&
      !lengths.has(layerEnd - layerStart) &&
      has.every(
        (before) => (before[layerEnd] ?? 0) > (before[layerStart] ?? 0),
      ));
}

/** Bytes that a token reads in the layers of a range, the head with the last one: what the range costs to compute. */
export function tokenCost(model: PlannedModel): (range: LayerRange) => number {
  return weighing(model).costOf;
}

/** The embedding table counts for the first shard, the head for the last; a tied head counts the table again. A token reads one row of the table. */
function weighing({ layerCount, tied, parts, layerCosts }: PlannedModel): {
  bytesOf: (range: LayerRange) => number;
  costOf: (range: LayerRange) => number;
} {
  const sizes = new Map(parts.map(({ id, sizeBytes }) => [id, sizeBytes]));
  const bytesBefore = [0];
  const costBefore = [0];
  for (let i = 0; i < layerCount; i++) {
    bytesBefore.push((bytesBefore[i] ?? 0) + (sizes.get(`layer.${i}`) ?? 0));
    costBefore.push((costBefore[i] ?? 0) + (layerCosts[i] ?? 0));
  }
  const embedding = sizes.get("embedding") ?? 0;
  const head = (sizes.get("output") ?? 0) + (tied ? embedding : 0);
  const headOf = ({ layerEnd }: LayerRange): number =>
    layerEnd === layerCount ? head : 0;
  return {
    bytesOf: (range) =>
      between(bytesBefore, range) +
      (range.layerStart === 0 ? embedding : 0) +
      headOf(range),
    costOf: (range) => between(costBefore, range) + headOf(range),
  };
}

/**
 * The plan whose joined costs are the smallest; among equal ones, the one with longer shards first. Empty if there is none.
 */
function bestPlan(
  layerCount: number,
  shards: number,
  isShard: (range: LayerRange) => boolean,
  by: {
    cost: (range: LayerRange) => number;
    join: (a: number, b: number) => number;
  },
): LayerRange[] {
  // best[start]: cost of the best plan for the layers from `start` on with the shards considered so far; ends[k][start]: its first end.
  let best: number[] = Array.from({ length: layerCount + 1 }, () => Infinity);
  best[layerCount] = 0;
  const ends: number[][] = [];
  for (let used = 1; used <= shards; used++) {
    const next: number[] = Array.from(best, () => Infinity);
    const end: number[] = [];
    for (let start = layerCount - used; start >= 0; start--) {
      for (let stop = start + 1; stop <= layerCount - used + 1; stop++) {
        const rest = best[stop] ?? Infinity;
        const range = { layerStart: start, layerEnd: stop };
        if (rest === Infinity || !isShard(range)) continue;
        const total = by.join(by.cost(range), rest);
        if (total <= (next[start] ?? Infinity) && total < Infinity) {
          next[start] = total;
          end[start] = stop;
        }
      }
    }
    best = next;
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

/** 1, 2 and 4; or 1 to 12 if none is missing. */
export function listOfCounts(counts: readonly number[]): string {
  const last = counts.at(-1) ?? 1;
  if (counts.length === last && last > 2) return `1 to ${last}`;
  const text = counts.map(String);
  return text.length < 2
    ? (text[0] ?? "no")
    : `${text.slice(0, -1).join(", ")} or ${text.at(-1) ?? ""}`;
}

/** Of a range, from the sums before each layer. */
function between(
  before: readonly number[],
  { layerStart, layerEnd }: LayerRange,
): number {
  return (before[layerEnd] ?? 0) - (before[layerStart] ?? 0);
}
