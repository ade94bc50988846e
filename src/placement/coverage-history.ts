/** Since when each shard has been held by nobody, by one, by enough. Each node keeps its own history, because the view has no memory. Pure. */
import {
  type Coverage,
  coverageOf,
  isUncovered,
  settled,
  type Swarm,
} from "./coverage.ts";

/** Ready holders of each shard where standbys are loaded: one may be lost at any time. */
export const COPIES = 2;

type Since = ReadonlyMap<number, number>;

/** By the shards' numbers. */
export interface CoverageHistory {
  /** Nobody holds or loads it. */
  uncoveredSinceMs: Since;
  /** At most one holds or loads it. */
  rareSinceMs: Since;
  /** Somebody has it ready who did not take it over. */
  coveredSinceMs: Since;
  /** More have it ready than are wanted. */
  ampleSinceMs: Since;
  /** Shards that were ready once: one of these is lost where nobody holds it; another may only be on its way. */
  wereReady: ReadonlySet<number>;
}

export const NO_HISTORY: CoverageHistory = Object.freeze({
  uncoveredSinceMs: new Map(),
  rareSinceMs: new Map(),
  coveredSinceMs: new Map(),
  ampleSinceMs: new Map(),
  wereReady: new Set<number>(),
});

export interface ObserveInput extends Swarm {
  nowMs: number;
}

/** The history after the current view. Call it at every change of the view. */
export function observeCoverage(
  history: CoverageHistory,
  input: ObserveInput,
): CoverageHistory {
  const { nowMs } = input;
  const coverage = coverageOf(input);
  const since = (
    before: Since,
    holds: (coverage: Coverage) => boolean,
  ): Since => {
    const now = coverage.filter(holds).map(({ shard: { index } }) => index);
    return new Map(now.map((index) => [index, before.get(index) ?? nowMs]));
  };
  const ready = coverage.filter((c) => c.ready.length > 0);
  return {
    uncoveredSinceMs: since(history.uncoveredSinceMs, isUncovered),
    rareSinceMs: since(history.rareSinceMs, isRare),
    coveredSinceMs: since(
      history.coveredSinceMs,
      (c) => settled(c.ready).length > 0,
    ),
    ampleSinceMs: since(history.ampleSinceMs, (c) => c.ready.length > COPIES),
    wereReady: new Set([
      ...history.wereReady,
      ...ready.map(({ shard }) => shard.index),
    ]),
  };
}

/** At most one is there or on its way; its engine may be down at the moment. */
export function isRare({ ready, claims }: Coverage): boolean {
  return ready.length + claims.length <= 1;
}
