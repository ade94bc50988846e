/**
 * Who may load one more shard, the best first. Pure: every node computes the same order, so exactly one of them begins; the next one does
 * only where that one has not begun for a while.
 */
import { compare } from "../lib/index.ts";
import {
  type Coverage,
  hasOnDisk,
  type Holder,
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

/** Whoever comes first may be unable to, for reasons that only it knows; the next one waits this much longer. */
const NEXT_MS = 15_000;

export interface Candidate {
  peer: string;
  /** It has all parts: it only has to load them. */
  isOnDisk: boolean;
  /** Shards that it holds. */
  held: number;
  /** That would stay free. */
  roomBytes: number;
  /** Standbys that it must give back first, so that there is room. */
  gives: PlanShard[];
}

export interface CandidatesInput extends Swarm, SessionRoom {
  coverage: readonly Coverage[];
  /** Whether a standby may be given back to make room. */
  mayGive: boolean;
  /** Of a machine's records: whether it takes part. */
  takesPart?: (holder: Holder) => boolean;
}

/** Candidates are ready nodes whose announced free memory has room for the shard. */
export function candidatesFor(
  input: CandidatesInput,
  shard: PlanShard,
): Candidate[] {
  const { takesPart = () => true } = input;
  const live = input.announcements.filter((a) => a.state !== "gone");
  return [...Map.groupBy(live, (a) => a.peer)]
    .flatMap(([peer, held]) => {
      // A node that is loading a shard or leaving has no room to promise.
      const isSettled = held.every(
        (a) => a.state === "ready" && a.manifest === input.manifest,
      );
      const holdsIt = held.some(
        (a) => a.layerStart <= shard.layerStart && a.layerEnd >= shard.layerEnd,
      );
      if (!isSettled || holdsIt || !held.every(takesPart)) return [];
      return candidateOf(input, shard, peer, held) ?? [];
    })
    .sort(
      (a, b) =>
        Number(b.isOnDisk) - Number(a.isOnDisk) ||
        a.gives.length - b.gives.length ||
        a.held - b.held ||
        b.roomBytes - a.roomBytes ||
        compare(turnOf(a.peer, shard.index), turnOf(b.peer, shard.index)),
    );
}

function candidateOf(
  input: CandidatesInput,
  shard: PlanShard,
  peer: string,
  held: readonly Holder[],
): Candidate | undefined {
  const needed = (of: PlanShard): number =>
    Math.max(...held.map((a) => needsOf(of, offerOf(a, input)).totalBytes));
  // All records of a peer describe the same machine: the most cautious one counts.
  let roomBytes = Math.min(
    ...held.map((a) => {
      const offer = offerOf(a, input);
      const usable = usableBytes(offer.capacity.freeMemoryBytes);
      return usable - needsOf(shard, offer).totalBytes;
    }),
  );
  const gives: PlanShard[] = [];
  if (input.mayGive) {
    for (const standby of spareOf(input.coverage, peer)) {
      if (roomBytes >= 0) break;
      roomBytes += needed(standby);
      gives.push(standby);
    }
  }
  if (roomBytes < 0) return undefined;
  const isOnDisk = held.some((a) => hasOnDisk(a, shard));
  return { peer, isOnDisk, held: held.length, roomBytes, gives };
}

/** What a peer took over although it is ready elsewhere too. */
export function spareOf(
  coverage: readonly Coverage[],
  peer: string,
): PlanShard[] {
  return coverage
    .filter(
      ({ shard, ready }) =>
        ready.some((a) => a.peer !== peer) &&
        ready.some(
          (a) =>
            a.peer === peer &&
            a.takenOver === true &&
            a.layerStart === shard.layerStart &&
            a.layerEnd === shard.layerEnd,
        ),
    )
    .map(({ shard }) => shard);
}

/** Those whose time has come after so long: the first, and later ones where that one did nothing. */
export function due(
  candidates: readonly Candidate[],
  waitedMs: number,
  waitMs: (candidate: Candidate) => number,
): Candidate[] {
  return candidates.filter(
    (candidate, i) => waitedMs >= waitMs(candidate) + i * NEXT_MS,
  );
}
