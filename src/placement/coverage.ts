/** Who holds each shard of a plan: the basis for placing nodes. Pure. */
import { createHash } from "node:crypto";
import { compare } from "../lib/index.ts";
import type { Announcement } from "../cluster/index.ts";
import type { PlanShard } from "./shard-needs.ts";

/** What placing needs of an announcement. */
export interface Holder extends Pick<
  Announcement,
  | "peer"
  | "manifest"
  | "layerStart"
  | "layerEnd"
  | "state"
  | "contextLength"
  | "sessions"
  | "msPerToken"
> {
  capacity?: { freeMemoryBytes: number } | undefined;
  /** Taken over because nobody else held it, or as a standby. */
  takenOver?: boolean | undefined;
  /** It loads standbys. */
  standby?: boolean | undefined;
  /** Half-open layer ranges: it has all their parts on its disk. */
  onDisk?: readonly (readonly number[])[] | undefined;
  /** Of keys and values. */
  kvTokens?: { total: number } | undefined;
}

/** The plan and its holders: the input of every placement decision. */
export interface Swarm {
  /** CID of the model's manifest. Holders of other models do not count. */
  manifest: string;
  shards: readonly PlanShard[];
  /** The live ones; `gone` never counts. */
  announcements: readonly Holder[];
}

export interface Coverage {
  shard: PlanShard;
  /** Holders that compute it. */
  ready: Holder[];
  /** Holders that are joining, downloading or loading. They cover it, but weaker. */
  claims: Holder[];
  /** Time per token with all ready holders sharing the work, or an estimate by its weight. */
  msPerToken: number;
}

/** Speed of an unmeasured machine: ordinary memory reads this many bytes per millisecond (10 GB/s). */
const TYPICAL_BYTES_PER_MS = 10_000_000;

/**
 * A holder covers the shards that its layers contain completely, if they begin and end where shards do. A range is entered at its start, so
 * one that ends inside a shard leaves a gap that no shard of the plan fills. A draining holder covers nothing.
 */
export function coverageOf({
  manifest,
  shards,
  announcements,
}: Swarm): Coverage[] {
  const starts = new Set(shards.map((shard) => shard.layerStart));
  const ends = new Set(shards.map((shard) => shard.layerEnd));
  const holders = announcements
    .filter(
      (a) =>
        a.manifest === manifest &&
        starts.has(a.layerStart) &&
        ends.has(a.layerEnd),
    )
    .sort((a, b) => compare(a.peer, b.peer) || a.layerStart - b.layerStart);
  const bytesPerMs = paceOf(shards, holders);
  return shards.map((shard) => {
    const those = holders.filter(
      (a) => a.layerStart <= shard.layerStart && a.layerEnd >= shard.layerEnd,
    );
    const ready = those.filter((a) => a.state === "ready");
    const claims = those.filter((a) => isClaim(a));
    return {
      shard,
      ready,
      claims,
      msPerToken: stageMs(shard, ready, bytesPerMs),
    };
  });
}

export function isClaim({ state }: Pick<Holder, "state">): boolean {
  return state === "joining" || state === "downloading" || state === "loading";
}

/** It needs to fetch nothing to load these layers. */
export function hasOnDisk(
  { onDisk = [] }: Pick<Holder, "onDisk">,
  { layerStart, layerEnd }: Pick<PlanShard, "layerStart" | "layerEnd">,
): boolean {
  return onDisk.some(
    ([start = 0, end = 0]) => start <= layerStart && end >= layerEnd,
  );
}

/** Those that hold it for good: not taken over, no standby. */
export function settled(holders: readonly Holder[]): Holder[] {
  return holders.filter((a) => a.takenOver !== true);
}

export function isUncovered({ ready, claims }: Coverage): boolean {
  return ready.length + claims.length === 0;
}

/** Holders share the work: with two of the same speed each takes half. */
function stageMs(
  shard: PlanShard,
  ready: readonly Holder[],
  bytesPerMs: number,
): number {
  const estimate = shard.weightBytes / bytesPerMs;
  if (ready.length === 0) return estimate;
  const rate = ready.reduce((sum, holder) => {
    const ms = msOfShard(holder, shard) ?? estimate;
    return sum + 1 / Math.max(ms, Number.EPSILON);
  }, 0);
  return 1 / rate;
}

/** Its measured time, for this shard's part of its layers. */
function msOfShard(
  { msPerToken, layerStart, layerEnd }: Holder,
  shard: PlanShard,
): number | undefined {
  if (msPerToken === undefined || msPerToken <= 0) return undefined;
  return (
    (msPerToken * (shard.layerEnd - shard.layerStart)) / (layerEnd - layerStart)
  );
}

/** The median of the holders' measurements: the likely time of an unmeasured stage. */
function paceOf(
  shards: readonly PlanShard[],
  holders: readonly Holder[],
): number {
  const paces = shards
    .flatMap((shard) =>
      holders
        .filter(
          (a) =>
            a.layerStart <= shard.layerStart && a.layerEnd >= shard.layerEnd,
        )
        .flatMap((a) => {
          const ms = msOfShard(a, shard);
          return ms === undefined ? [] : [shard.weightBytes / ms];
        }),
    )
    .sort((a, b) => a - b);
  return paces[Math.floor(paces.length / 2)] ?? TYPICAL_BYTES_PER_MS;
}

/** The order of peers at one shard: the same for everybody and different at each shard, so that no peer is always last. */
export function turnOf(peer: string, index: number): string {
  return createHash("sha256").update(`${index}/${peer}`).digest("hex");
}
