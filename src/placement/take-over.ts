/**
 * Second shards. A shard that has had no holder for a while is taken over by a node with room, which downloads it if necessary and gives it
 * back when others hold it. Pure: every node computes which node takes over, so exactly one does. The times come from a history that each
 * node keeps.
 */
import { compare, formatBytes } from "../lib/index.ts";
import {
  coverageOf,
  type Holder,
  isClaim,
  isUncovered,
  type Swarm,
  turnOf,
} from "./coverage.ts";
import { offerOf } from "./placement.ts";
import {
  needsOf,
  type PlanShard,
  type SessionRoom,
  usableBytes,
} from "./shard-needs.ts";

export const ADOPTION = Object.freeze({
  /** Longer than a node takes to restart, shorter than people wait. */
  uncoveredMs: 30_000,
  /** A shard that was held for this long is not about to be lost again: one lifetime of an announcement. */
  coveredMs: 60_000,
  /** Ready holders that did not take it over, before a copy that was taken over is given back. */
  target: 1,
});

/** Since when each shard has had no holder, and since when enough holders. */
export interface CoverageHistory {
  uncoveredSinceMs: ReadonlyMap<number, number>;
  coveredSinceMs: ReadonlyMap<number, number>;
}

export const NO_HISTORY: CoverageHistory = Object.freeze({
  uncoveredSinceMs: new Map(),
  coveredSinceMs: new Map(),
});

export interface ObserveInput extends Swarm {
  nowMs: number;
  target?: number | undefined;
}

/** The history after the current view. Call it at every change of the view. */
export function observeCoverage(
  history: CoverageHistory,
  input: ObserveInput,
): CoverageHistory {
  const { nowMs, target = ADOPTION.target } = input;
  const uncoveredSinceMs = new Map<number, number>();
  const coveredSinceMs = new Map<number, number>();
  for (const coverage of coverageOf(input)) {
    const { index } = coverage.shard;
    if (isUncovered(coverage)) {
      const since = history.uncoveredSinceMs.get(index) ?? nowMs;
      uncoveredSinceMs.set(index, since);
    }
    if (settled(coverage.ready).length >= target)
      coveredSinceMs.set(index, history.coveredSinceMs.get(index) ?? nowMs);
  }
  return { uncoveredSinceMs, coveredSinceMs };
}

export interface AdoptionInput extends ObserveInput, SessionRoom {
  history: CoverageHistory;
}

export interface TakeOver {
  peer: string;
  shard: PlanShard;
  reason: string;
}

/**
 * Who takes over what now. Candidates are ready nodes whose announced free memory has room for the shard; the one with the fewest shards,
 * then the most room, takes it. A node takes one at a time, because its free memory is known again only after loading.
 */
export function takeOvers(input: AdoptionInput): TakeOver[] {
  const { history, nowMs } = input;
  const taken = new Set<string>();
  return coverageOf(input).flatMap((coverage) => {
    const { shard } = coverage;
    const since = history.uncoveredSinceMs.get(shard.index);
    if (!isUncovered(coverage) || since === undefined) return [];
    const waitedMs = nowMs - since;
    if (waitedMs < ADOPTION.uncoveredMs) return [];
    const best = candidates(input, shard).find((c) => !taken.has(c.peer));
    if (best === undefined) return [];
    taken.add(best.peer);
    const reason = `nobody has held shard ${shard.index} (layers ${shard.layerStart} to ${shard.layerEnd - 1}) for ${Math.round(waitedMs / 1000)} s; this node comes first among those with room: ${formatBytes(best.roomBytes)} would stay free`;
    return [{ peer: best.peer, shard, reason }];
  });
}

interface Candidate {
  peer: string;
  held: number;
  roomBytes: number;
}

function candidates(input: AdoptionInput, shard: PlanShard): Candidate[] {
  const live = input.announcements.filter((a) => a.state !== "gone");
  return [...Map.groupBy(live, (a) => a.peer)]
    .flatMap(([peer, held]) => {
      // A node that is loading a shard or leaving has no room to promise.
      const isSettled = held.every(
        (a) => a.state === "ready" && a.manifest === input.manifest,
      );
      if (!isSettled) return [];
      // All records of a peer describe the same machine: the most cautious one counts.
      const roomBytes = Math.min(
        ...held.map((a) => {
          const offer = offerOf(a, input);
          const usable = usableBytes(offer.capacity.freeMemoryBytes);
          return usable - needsOf(shard, offer).totalBytes;
        }),
      );
      return roomBytes < 0 ? [] : [{ peer, held: held.length, roomBytes }];
    })
    .sort(
      (a, b) =>
        a.held - b.held ||
        b.roomBytes - a.roomBytes ||
        compare(turnOf(a.peer, shard.index), turnOf(b.peer, shard.index)),
    );
}

export interface GiveBackInput extends ObserveInput {
  history: CoverageHistory;
  /** This node, and the shard it took over. */
  peer: string;
  shard: PlanShard;
}

/** Why this node should give back the shard it took over; undefined: it keeps it. */
export function shouldGiveBack(input: GiveBackInput): string | undefined {
  const { history, nowMs, peer, shard, target = ADOPTION.target } = input;
  const coverage = coverageOf(input).find((c) => c.shard.index === shard.index);
  if (coverage === undefined) return `the plan has no shard ${shard.index}`;
  const { ready, claims } = coverage;
  const own = [...ready, ...claims].find((a) => isAdoptionOf(a, peer));
  // Crossing records made two nodes take it over: while this copy is not loaded yet, it is the one to drop.
  if (own !== undefined && isClaim(own)) {
    const turn = turnOf(peer, shard.index);
    const first = [
      ...ready.filter((a) => a.peer !== peer),
      ...claims.filter(
        (a) =>
          a.peer !== peer &&
          a.takenOver === true &&
          turnOf(a.peer, shard.index) < turn,
      ),
    ][0];
    if (first !== undefined)
      return `${first.peer} holds shard ${shard.index} or comes first`;
  }
  const since = history.coveredSinceMs.get(shard.index);
  const holders = settled(ready).filter((a) => a.peer !== peer);
  if (holders.length < target || since === undefined) return undefined;
  if (nowMs - since < ADOPTION.coveredMs) return undefined;
  return `shard ${shard.index} has had ${target === 1 ? "another ready holder" : `${target} other ready holders`} for ${Math.round((nowMs - since) / 1000)} s`;
}

function isAdoptionOf(holder: Holder, peer: string): boolean {
  return holder.peer === peer && holder.takenOver === true;
}

function settled(holders: readonly Holder[]): Holder[] {
  return holders.filter((a) => a.takenOver !== true);
}
