/**
 * Second shards. A shard that nobody holds any more is taken over by a node with room, at once where that has all of its parts on disk,
 * else after a while. One that only one node holds is loaded by another as a standby. Both are given back when others hold the shard, or
 * when their memory is needed for one that nobody holds. Pure: every node computes who does it, so exactly one does. The times come from a
 * history that each node keeps.
 */
import { formatBytes } from "../lib/index.ts";
import { type Candidate, candidatesFor, due } from "./candidates.ts";
import {
  type Coverage,
  coverageOf,
  type Holder,
  isClaim,
  isUncovered,
  settled,
  turnOf,
} from "./coverage.ts";
import {
  COPIES,
  type CoverageHistory,
  isRare,
  type ObserveInput,
} from "./coverage-history.ts";
import type { PlanShard, SessionRoom } from "./shard-needs.ts";

export const ADOPTION = Object.freeze({
  /**
   * Longer than a node takes to restart, shorter than people wait: gigabytes may have to be fetched. Who has them on disk does not wait. It
   * only loads them, and keeps them for `coveredMs` after the other is back: one that comes and goes costs one load and no more.
   */
  uncoveredMs: 30_000,
  /** A shard that was held for this long is not about to be lost again: one lifetime of an announcement. */
  coveredMs: 60_000,
});

export const STANDBY = Object.freeze({
  /** Nothing is lost yet; and nodes that start together are all there by then. */
  onDiskMs: 10_000,
  /** Longer than a node takes to restart and to load its shard again: nothing is fetched for that. */
  fetchMs: 60_000,
});

export interface AdoptionInput extends ObserveInput, SessionRoom {
  history: CoverageHistory;
}

export interface TakeOver {
  peer: string;
  shard: PlanShard;
  /** Standbys that it gives back first. */
  gives: PlanShard[];
  reason: string;
}

/**
 * Who takes over what now. Candidates have room for the shard; those with its parts on disk come first, then the one with the fewest shards,
 * then the most room. A node takes one at a time, because its free memory is known again only after loading.
 */
export function takeOvers(input: AdoptionInput): TakeOver[] {
  const { history } = input;
  return assign(input, {
    mayGive: true,
    sinceMs: (c) =>
      isUncovered(c) ? history.uncoveredSinceMs.get(c.shard.index) : undefined,
    waitMs: ({ isOnDisk }, { index }) =>
      isOnDisk && history.wereReady.has(index) ? 0 : ADOPTION.uncoveredMs,
    what: (shard, seconds) => `nobody has held ${shard} for ${seconds} s`,
  });
}

/** The same for standbys: of shards that one holds, by nodes that load such. */
export function standbys(input: AdoptionInput): TakeOver[] {
  const { history } = input;
  return assign(input, {
    mayGive: false,
    takesPart: (holder) => holder.standby === true,
    sinceMs: (c) =>
      isRare(c) && !isUncovered(c)
        ? history.rareSinceMs.get(c.shard.index)
        : undefined,
    waitMs: ({ isOnDisk }) => (isOnDisk ? STANDBY.onDiskMs : STANDBY.fetchMs),
    what: (shard, seconds) =>
      `only one node has held ${shard} for ${seconds} s`,
  });
}

interface Rule {
  mayGive: boolean;
  takesPart?: (holder: Holder) => boolean;
  /** Since when the shard has been in need; undefined: it is not. */
  sinceMs: (coverage: Coverage) => number | undefined;
  waitMs: (candidate: Candidate, shard: PlanShard) => number;
  what: (shard: string, seconds: number) => string;
}

function assign(input: AdoptionInput, rule: Rule): TakeOver[] {
  const coverage = coverageOf(input);
  const taken = new Set<string>();
  return coverage.flatMap((each) => {
    const { shard } = each;
    const since = rule.sinceMs(each);
    if (since === undefined) return [];
    const waitedMs = input.nowMs - since;
    const free = candidatesFor({ ...input, ...rule, coverage }, shard).filter(
      ({ peer }) => !taken.has(peer),
    );
    const now = due(free, waitedMs, (c) => rule.waitMs(c, shard));
    return now.map(({ peer, isOnDisk, roomBytes, gives }) => {
      taken.add(peer);
      const name = `shard ${shard.index} (layers ${shard.layerStart} to ${shard.layerEnd - 1})`;
      const what = rule.what(name, Math.round(waitedMs / 1000));
      const disk = isOnDisk ? "has its parts on disk and " : "";
      const reason = `${what}; this node ${disk}comes first among those with room: ${formatBytes(roomBytes)} would stay free`;
      return { peer, shard, gives, reason };
    });
  });
}

export interface GiveBackInput extends ObserveInput {
  history: CoverageHistory;
  /** This node, and the shard it took over. */
  peer: string;
  shard: PlanShard;
  /** It keeps standbys. */
  standby: boolean;
}

/** Why this node should give back the shard it took over, or its standby; undefined: it keeps it. */
export function shouldGiveBack(input: GiveBackInput): string | undefined {
  const { peer, shard } = input;
  const coverage = coverageOf(input).find((c) => c.shard.index === shard.index);
  if (coverage === undefined) return `the plan has no shard ${shard.index}`;
  const own = [...coverage.ready, ...coverage.claims].find(
    (a) => a.peer === peer && a.takenOver === true,
  );
  return (
    (own !== undefined && isClaim(own)
      ? whyDrop(input, coverage)
      : undefined) ??
    (input.standby ? whyAmple(input, coverage) : whyCovered(input, coverage))
  );
}

/** Crossing records made several nodes take it over: while this copy is not loaded yet, it is the one to drop. */
function whyDrop(
  { peer, shard, standby }: GiveBackInput,
  { ready, claims }: Coverage,
): string | undefined {
  const turn = turnOf(peer, shard.index);
  const before = [
    ...ready.filter((a) => a.peer !== peer),
    ...claims.filter(
      (a) =>
        a.peer !== peer &&
        a.takenOver === true &&
        turnOf(a.peer, shard.index) < turn,
    ),
  ];
  const [first] = before;
  const others = standby ? COPIES : 1;
  if (first === undefined || before.length < others) return undefined;
  return others === 1
    ? `${first.peer} holds shard ${shard.index} or comes first`
    : `${others} others hold shard ${shard.index} or come first`;
}

function whyCovered(
  { history, nowMs, peer, shard }: GiveBackInput,
  { ready }: Coverage,
): string | undefined {
  const since = history.coveredSinceMs.get(shard.index);
  const others = settled(ready).filter((a) => a.peer !== peer);
  if (others.length === 0 || since === undefined) return undefined;
  if (nowMs - since < ADOPTION.coveredMs) return undefined;
  return `shard ${shard.index} has had another ready holder for ${Math.round((nowMs - since) / 1000)} s`;
}

/** One after the other: who comes last, until there are no more than wanted. */
function whyAmple(
  { history, nowMs, peer, shard }: GiveBackInput,
  { ready }: Coverage,
): string | undefined {
  const since = history.ampleSinceMs.get(shard.index);
  if (ready.length <= COPIES || since === undefined) return undefined;
  if (nowMs - since < ADOPTION.coveredMs) return undefined;
  const turns = ready
    .filter((a) => a.takenOver === true && a.standby === true)
    .map((a) => turnOf(a.peer, shard.index));
  if (turns.some((turn) => turn > turnOf(peer, shard.index))) return undefined;
  return `shard ${shard.index} has had ${ready.length} ready holders for ${Math.round((nowMs - since) / 1000)} s, and ${COPIES} are enough`;
}
