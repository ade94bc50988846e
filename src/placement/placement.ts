/**
 * Which shard a node should take. Pure: the same records give the same answer on every node.
 *
 * Order: a shard without holder; else the one with the fewest holders; else the slowest stage; always within the node's memory, KV
 * included. A claim (a node still joining, downloading or loading) covers, but weaker than a ready node. Among equals the node's id
 * chooses, so that nodes that start together rarely take the same; if they do, `shouldYield` sends all but one elsewhere. The form follows
 * Petals' block selection (server/block_selection.py); there only throughput decides, here coverage comes first.
 */
import { compare, formatBytes, ShoalError } from "../lib/index.ts";
import {
  type Coverage,
  coverageOf,
  type Holder,
  isUncovered,
  settled,
  type Swarm,
  turnOf,
} from "./coverage.ts";
import {
  MEMORY,
  needsOf,
  type PlanShard,
  type SessionRoom,
  type ShardNeeds,
  usableBytes,
} from "./shard-needs.ts";

const PLACEMENT = Object.freeze({
  /**
   * Shards whose memory need is within this fraction of the largest count as equal, and nodes spread over them. Larger ones come first,
   * because a smaller machine that joins later can still take the small ones.
   */
  alikeMemory: 0.1,
  /** Stages within this fraction of the slowest count as equally slow, because measured times vary by as much. */
  alikeTime: 0.05,
});

export interface PlaceInput extends Swarm, SessionRoom {
  /** This node. Its own announcements are left out, because it is free to choose. */
  peer: string;
  capacity: { freeMemoryBytes: number };
}

export type Placement =
  | { shard: PlanShard; needs: ShardNeeds; reason: string }
  /** MEMORY_INSUFFICIENT: none fits. MODEL_SHARDS: there is no plan. */
  | { shard: undefined; error: ShoalError };

export function placeShard(input: PlaceInput): Placement {
  const { shards, peer, capacity } = input;
  const smallest = leastOf(shards, (shard) => needsOf(shard, input).totalBytes);
  if (smallest === undefined) {
    return {
      shard: undefined,
      error: new ShoalError("MODEL_SHARDS", "the plan has no shards"),
    };
  }
  const usable = usableBytes(capacity.freeMemoryBytes);
  const coverage = coverageOf({
    ...input,
    announcements: input.announcements.filter((a) => a.peer !== peer),
  });
  const fitting = coverage.filter(
    ({ shard }) => needsOf(shard, input).totalBytes <= usable,
  );
  const chosen = choose(fitting, input);
  if (chosen === undefined)
    return { shard: undefined, error: tooLarge(smallest, input) };
  const { shard } = chosen;
  const tooBig = coverage.filter((c) => isUncovered(c) && !fitting.includes(c));
  const needs = needsOf(shard, input);
  const reason = `${why(chosen)}; it needs ${describe(needs, input)} of ${formatBytes(usable)}${
    isUncovered(chosen) || tooBig.length === 0
      ? ""
      : `; nobody holds ${tooBig.map((c) => c.shard.index).join(", ")}, too large for this machine`
  }`;
  return { shard, needs, reason };
}

/** The shard to take among those that fit: each step keeps the best and its equals. */
function choose(
  fitting: readonly Coverage[],
  input: Pick<PlaceInput, "peer"> & SessionRoom,
): Coverage | undefined {
  const rarest = keepLeast(fitting, (c) => c.ready.length + c.claims.length);
  const alive = keepLeast(rarest, (c) => c.ready.length);
  // Who only stands in gives it back.
  const weakest = keepLeast(alive, (c) => settled(c.ready).length);
  const alike = weakest.some((c) => isUncovered(c))
    ? keepLargest(
        weakest,
        (c) => needsOf(c.shard, input).totalBytes,
        PLACEMENT.alikeMemory,
      )
    : keepLargest(weakest, (c) => c.msPerToken, PLACEMENT.alikeTime);
  return alike.toSorted((a, b) =>
    compare(
      turnOf(input.peer, a.shard.index),
      turnOf(input.peer, b.shard.index),
    ),
  )[0];
}

function why({ shard, ready, claims, msPerToken }: Coverage): string {
  const name = `shard ${shard.index} (layers ${shard.layerStart} to ${shard.layerEnd - 1})`;
  const holders = ready.length + claims.length;
  if (holders === 0) return `nobody holds ${name}`;
  const have = holders === 1 ? "1 node holds" : `${holders} nodes hold`;
  const yet = ready.length === 0 ? ", not ready yet" : "";
  return `${have} ${name}${yet}: it has the fewest holders of all that fit, and among these it is the slowest stage, about ${msPerToken.toPrecision(2)} ms a token`;
}

function describe(
  { weightBytes, kvBytes, engineBytes, totalBytes }: ShardNeeds,
  { contextLength, sessions }: SessionRoom,
): string {
  return `${formatBytes(totalBytes)} (weights ${formatBytes(weightBytes)}, KV of ${sessions} × ${contextLength} tokens ${formatBytes(kvBytes)}, engine ${formatBytes(engineBytes)})`;
}

function tooLarge(smallest: PlanShard, input: PlaceInput): ShoalError {
  const { freeMemoryBytes } = input.capacity;
  const needs = needsOf(smallest, input);
  return new ShoalError(
    "MEMORY_INSUFFICIENT",
    `no shard fits: the smallest, ${smallest.index}, needs ${describe(needs, input)}; ${formatBytes(freeMemoryBytes)} are free, of which ${MEMORY.headroom * 100} % stay free`,
    { needBytes: needs.totalBytes, freeBytes: freeMemoryBytes },
  );
}

export interface YieldInput extends Swarm, SessionRoom {
  /** This node, whose claim is among the announcements. */
  peer: string;
}

/**
 * Whether this node must move to another shard, because others are taking the same one while some shard has no holder, and to which. Every
 * node computes the same: of the nodes taking one shard, all that fit elsewhere move to shards without holder, in turn, as long as one
 * stays (none needs to if a node is ready). What a node can take is judged by its announcement. Undefined: it stays.
 */
export function shouldYield(
  input: YieldInput,
): { shard: PlanShard; reason: string } | undefined {
  const { announcements, peer } = input;
  const held = Map.groupBy(
    announcements.filter(
      (a) => a.manifest === input.manifest && a.state !== "gone",
    ),
    (a) => a.peer,
  );
  let supposed = announcements;
  for (const claim of claimsInTurn(input)) {
    // A node that holds more than this claim is settled: take-over decides what else it holds.
    if (held.get(claim.peer)?.length !== 1) continue;
    const others = supposed.filter((a) => a.peer !== claim.peer);
    const without = coverageOf({ ...input, announcements: others });
    const isNeeded = without.some(
      (c) => c.shard.layerStart === claim.layerStart && isUncovered(c),
    );
    if (isNeeded) continue;
    const placed = placeShard({
      ...input,
      announcements: others,
      ...offerOf(claim, input),
    });
    const target = without.find((c) => c.shard.index === placed.shard?.index);
    if (placed.shard === undefined || target === undefined) continue;
    if (!isUncovered(target)) continue;
    const { shard } = placed;
    if (claim.peer === peer) {
      const reason = `others take layers ${claim.layerStart} to ${claim.layerEnd - 1} too: ${placed.reason}`;
      return { shard, reason };
    }
    const { layerStart, layerEnd } = shard;
    supposed = [...others, { ...claim, layerStart, layerEnd }];
  }
  return undefined;
}

/** Claims of exactly one shard (a longer range may be the only cover of another), in reverse order of their turn. */
function claimsInTurn(swarm: Swarm): Holder[] {
  return coverageOf(swarm).flatMap(({ shard, claims }) =>
    claims
      .filter(
        (a) =>
          a.layerStart === shard.layerStart && a.layerEnd === shard.layerEnd,
      )
      .sort((a, b) =>
        compare(turnOf(b.peer, shard.index), turnOf(a.peer, shard.index)),
      ),
  );
}

/** A node's free memory by its announcement; without a figure it offers none. */
export function offerOf(
  holder: Holder,
  fallback: SessionRoom,
): Pick<PlaceInput, "peer" | "capacity"> & SessionRoom {
  const { peer, capacity, contextLength } = holder;
  return {
    peer,
    capacity: capacity ?? { freeMemoryBytes: 0 },
    contextLength: contextLength || fallback.contextLength,
    sessions: sessionsOf(holder) || fallback.sessions,
  };
}

/** Of a whole context: of short ones there may be more. */
function sessionsOf({ kvTokens, contextLength, sessions }: Holder): number {
  if (kvTokens === undefined || contextLength === 0) return sessions.max;
  return Math.floor(kvTokens.total / contextLength);
}

function keepLeast<T>(items: readonly T[], of: (item: T) => number): T[] {
  const least = Math.min(...items.map(of));
  return items.filter((item) => of(item) === least);
}

function keepLargest<T>(
  items: readonly T[],
  of: (item: T) => number,
  alike: number,
): T[] {
  const largest = Math.max(...items.map(of));
  return items.filter((item) => of(item) >= largest * (1 - alike));
}

function leastOf<T>(
  items: readonly T[],
  of: (item: T) => number,
): T | undefined {
  return items.toSorted((a, b) => of(a) - of(b))[0];
}
