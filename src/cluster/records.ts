/** The newest announcement of each peer and shard. Pure state: time comes in. */
import type { Announcement, Sealed } from "./announcement.ts";

export interface HolderRecord {
  announcement: Announcement;
  /** As it came, to pass on. */
  sealed: Sealed;
}

/** A cluster of more holders than this is not one of ours: a bound on what strangers can make a rendezvous keep. */
export const MAX_RECORDS_PER_CLUSTER = 10_000;
/** Shards of one peer. */
export const MAX_RECORDS_PER_PEER = 64;

export type PutOutcome = "new" | "changed" | "renewed" | "stale" | "full";

/** Whom a record is about: a peer and its layers. */
export function holderKey({
  peer,
  layerStart,
  layerEnd,
}: Pick<Announcement, "peer" | "layerStart" | "layerEnd">): string {
  return `${peer}/${layerStart}-${layerEnd}`;
}

interface Grave {
  seq: number;
  untilMs: number;
}

export class ClusterRecords {
  #byHolder = new Map<string, HolderRecord>();
  #sinceMs = new Map<string, number>();
  #ofPeer = new Map<string, Set<string>>();
  /** Of those that are gone, up to which record they are: until it has expired, it must not come back from somebody who has not heard. */
  #graves = new Map<string, Grave>();

  get size(): number {
    return this.#byHolder.size;
  }

  /** Keeps `record` if it is newer than what is known: "new", "changed", "renewed" (only the time is new), "stale", or "full". */
  put(
    record: HolderRecord,
    nowMs: number = record.announcement.issuedMs,
  ): PutOutcome {
    const { announcement } = record;
    const { peer } = announcement;
    const key = holderKey(announcement);
    if ((this.seqOf(key) ?? -1) >= announcement.seq) return "stale";
    const known = this.#byHolder.get(key)?.announcement;
    const ofPeer = this.#ofPeer.get(peer) ?? new Set();
    if (
      known === undefined &&
      (this.#byHolder.size >= MAX_RECORDS_PER_CLUSTER ||
        ofPeer.size >= MAX_RECORDS_PER_PEER)
    )
      return "full";
    this.#byHolder.set(key, record);
    this.#ofPeer.set(peer, ofPeer.add(key));
    this.#graves.delete(key);
    if (known !== undefined)
      return known.state !== announcement.state ||
        known.manifest !== announcement.manifest
        ? "changed"
        : "renewed";
    this.#sinceMs.set(key, nowMs);
    return "new";
  }

  /** The newest record of a holder that was seen, be it gone by now. */
  seqOf(key: string): number | undefined {
    return (
      this.#byHolder.get(key)?.announcement.seq ?? this.#graves.get(key)?.seq
    );
  }

  get(key: string): HolderRecord | undefined {
    return this.#byHolder.get(key);
  }

  /** What one peer holds. */
  of(peer: string): HolderRecord[] {
    return [...(this.#ofPeer.get(peer) ?? [])].flatMap(
      (key) => this.#byHolder.get(key) ?? [],
    );
  }

  /** Since when a holder is known. */
  sinceMs(announcement: Announcement): number | undefined {
    return this.#sinceMs.get(holderKey(announcement));
  }

  /** Forgets what a peer held, up to record `seq` of it; only a newer one brings it back. Returns whether there was anything. */
  removePeer(peer: string, seq: number = Number.MAX_SAFE_INTEGER): boolean {
    const condemned = this.of(peer).filter((r) => r.announcement.seq <= seq);
    for (const { announcement } of condemned) this.#bury(announcement);
    return condemned.length > 0;
  }

  /** Forgets what has expired or said goodbye. */
  expire(nowMs: number): boolean {
    const before = this.#byHolder.size;
    for (const { announcement: a } of this.#byHolder.values())
      if (a.state === "gone" || a.issuedMs + a.ttlMs <= nowMs) this.#bury(a);
    for (const [key, { untilMs }] of this.#graves)
      if (untilMs <= nowMs) this.#graves.delete(key);
    return this.#byHolder.size !== before;
  }

  /** What is alive at `nowMs`. */
  list(nowMs: number): HolderRecord[] {
    return [...this.#byHolder.values()].filter(
      ({ announcement: a }) =>
        a.state !== "gone" && a.issuedMs + a.ttlMs > nowMs,
    );
  }

  #bury(a: Announcement): void {
    const key = holderKey(a);
    this.#byHolder.delete(key);
    this.#sinceMs.delete(key);
    const ofPeer = this.#ofPeer.get(a.peer);
    ofPeer?.delete(key);
    if (ofPeer?.size === 0) this.#ofPeer.delete(a.peer);
    const untilMs = a.issuedMs + a.ttlMs;
    this.#graves.delete(key);
    this.#graves.set(key, { seq: a.seq, untilMs });
    const [oldest] = this.#graves.keys();
    if (this.#graves.size > MAX_RECORDS_PER_CLUSTER && oldest !== undefined)
      this.#graves.delete(oldest);
  }
}
