/**
 * The best borders between the stages of a cluster as its machines are. Pure and exact; the number of stages and their order stay.
 *
 * Sessions pass each other in the ring, so a token takes all stages and links once, or, with many sessions, as long as the slowest stage
 * takes for all of them: the formula of src/routing. For a limit on the slowest stage the cheapest sum follows by dynamic programming; a
 * higher limit allows cheaper sums, so the best limit is where the two are equal, and is found by bisection.
 */
import type { LayerRange } from "../model/index.ts";

export interface CutStage {
  /** Its layers now. */
  range: LayerRange;
  /** Of its fastest node: milliseconds for any range, and for a unit of cost. */
  fixedMs: number;
  msPerCost: number;
  /** The part of that which each of many sessions takes, because its nodes share them: 1 where it has one node. */
  share: number;
  /** Whether its nodes can hold these layers beside what they hold now. Its own layers always fit. */
  fits: (range: LayerRange) => boolean;
}

export interface CutInput {
  layerCount: number;
  /** Whether a range may be a shard of the model. */
  isShard: (range: LayerRange) => boolean;
  /** What a token costs to compute there. */
  costOf: (range: LayerRange) => number;
  stages: readonly CutStage[];
  /** Of all links of a token's way. */
  wireMs: number;
  /** At once. */
  sessions: number;
}

export interface CutTimes {
  /** Expected, from one token of a session to its next. */
  msPerToken: number;
  /** Compute of each stage. */
  stageMs: number[];
}

export function cutTimes(
  { stages, costOf, wireMs, sessions }: CutInput,
  ranges: readonly LayerRange[],
): CutTimes {
  let slowestMs = 0;
  const stageMs = stages.map(({ fixedMs, msPerCost, share, range }, i) => {
    const ms = fixedMs + msPerCost * costOf(ranges[i] ?? range);
    slowestMs = Math.max(slowestMs, share * ms);
    return ms;
  });
  const aloneMs = stageMs.reduce((sum, ms) => sum + ms, wireMs);
  return { msPerToken: Math.max(aloneMs, sessions * slowestMs), stageMs };
}

/** A stage whose layers change must be worth at least this much of the whole: of two equal cuts the nearer one wins. */
const CHANGE_COST = 1e-6;
/** Times are not known better than this: a cut that saves less is not better. */
const LEAST_GAIN = 0.01;
/** Halvings of the limit: down to less than what a change must be worth. */
const BISECTIONS = 24;

/** The ranges of the stages, in order; those of now where nothing is better. */
export function bestCut(input: CutInput): LayerRange[] {
  const now = input.stages.map(({ range }) => range);
  const search = new Search(input);
  let best = now;
  let bestMs = cutTimes(input, now).msPerToken;
  // The slowest stage of now limits nothing better; without it the first limit might have no cut.
  let low = 0;
  let high = bestMs;
  for (let i = 0; i <= BISECTIONS; i++) {
    const limit = i === 0 ? high : (low + high) / 2;
    const found = search.cheapest(limit);
    if (found === undefined) {
      low = limit;
      continue;
    }
    const { msPerToken } = cutTimes(input, found);
    if (msPerToken < bestMs * (1 - CHANGE_COST)) {
      best = found;
      bestMs = msPerToken;
    }
    // The sum is what is left to make smaller, and only a higher limit does that.
    if (msPerToken > limit) low = limit;
    else high = limit;
  }
  const nowMs = cutTimes(input, now).msPerToken;
  return bestMs < nowMs * (1 - LEAST_GAIN) ? best : now;
}

class Search {
  readonly #input: CutInput;
  /** Of each stage the milliseconds of its ranges, by first layer and end; Infinity where a range is not possible. */
  readonly #times: Float64Array[];
  readonly #changeMs: number;

  constructor(input: CutInput) {
    this.#input = input;
    this.#times = input.stages.map((stage, index) =>
      this.#timesOf(stage, index),
    );
    const now = input.stages.map(({ range }) => range);
    this.#changeMs = cutTimes(input, now).msPerToken * CHANGE_COST;
  }

  /** With the smallest sum of all whose slowest stage keeps within the limit for all sessions. */
  cheapest(limitMs: number): LayerRange[] | undefined {
    const { stages, layerCount, sessions } = this.#input;
    const width = layerCount + 1;
    // Of the stages from i on: what the layers from each one on cost at least, and the first end.
    let rest = new Float64Array(width).fill(Infinity);
    rest[layerCount] = 0;
    const choices: Int32Array[] = [];
    for (let i = stages.length - 1; i >= 0; i--) {
      const { range, share } = stages[i] as CutStage;
      const times = this.#times[i] as Float64Array;
      const mostMs = limitMs / (share * sessions);
      const next = new Float64Array(width).fill(Infinity);
      const choice = new Int32Array(width).fill(-1);
      for (let start = 0; start < layerCount; start++) {
        const nowEnd = start === range.layerStart ? range.layerEnd : -1;
        let least = Infinity;
        for (let end = start + 1; end < width; end++) {
          const stageMs = times[start * width + end] as number;
          if (stageMs > mostMs) continue;
          const changeMs = end === nowEnd ? 0 : this.#changeMs;
          const ms = stageMs + (rest[end] as number) + changeMs;
          if (ms >= least) continue;
          least = ms;
          choice[start] = end;
        }
        next[start] = least;
      }
      rest = next;
      choices.unshift(choice);
    }
    return rest[0] === Infinity ? undefined : rangesFrom(choices);
  }

  #timesOf(
    { range: now, fits, fixedMs, msPerCost }: CutStage,
    index: number,
  ): Float64Array {
    const { layerCount, stages, isShard, costOf } = this.#input;
    const width = layerCount + 1;
    const times = new Float64Array(width * width).fill(Infinity);
    const behind = stages.length - 1 - index;
    // A stage has a layer, and leaves one for each of the others.
    for (let start = index; start < layerCount - behind; start++)
      for (let end = start + 1; end <= layerCount - behind; end++) {
        const range = { layerStart: start, layerEnd: end };
        const isNow = start === now.layerStart && end === now.layerEnd;
        if (isNow || (isShard(range) && fits(range)))
          times[start * width + end] = fixedMs + msPerCost * costOf(range);
      }
    return times;
  }
}

function rangesFrom(choices: readonly Int32Array[]): LayerRange[] {
  const ranges: LayerRange[] = [];
  let layerStart = 0;
  for (const choice of choices) {
    const layerEnd = choice[layerStart] as number;
    ranges.push({ layerStart, layerEnd });
    layerStart = layerEnd;
  }
  return ranges;
}
