/** The newest announcement of each peer and shard. Pure state: time comes in. */
import type { Announcement, Sealed } from "./announcement.ts";

export interface HolderRecord {
  announcement: Announcement;
  /** As it came, to pass on. */
  sealed: Sealed;
}

/** A cluster of more holders than this is not one of ours: a bound on what strangers can make a rendezvous keep. */
export const MAX_RECORDS_PER_CLUSTER = 10_000;

export class ClusterRecords {
  #byHolder = new Map<string, HolderRecord>();

  get size(): number {
    return this.#byHolder.size;
  }

  /** Keeps `record` if it is newer than what is known: "new", "changed", "renewed" (only the time is new), or "stale". */
  put(record: HolderRecord): "new" | "changed" | "renewed" | "stale" {
    const { announcement } = record;
    const key = `${announcement.peer}/${announcement.layerStart}-${announcement.layerEnd}`;
    const known = this.#byHolder.get(key)?.announcement;
    if (known !== undefined && known.seq >= announcement.seq) return "stale";
    this.#byHolder.set(key, record);
    if (known === undefined) return "new";
    return known.state !== announcement.state ||
      known.manifest !== announcement.manifest
      ? "changed"
      : "renewed";
  }

  /** Forgets what a peer held. Returns whether there was anything. */
  removePeer(peer: string): boolean {
    return this.#remove((a) => a.peer === peer);
  }

  /** Forgets what has expired or said goodbye. */
  expire(nowMs: number): boolean {
    return this.#remove(
      (a) => a.state === "gone" || a.issuedMs + a.ttlMs <= nowMs,
    );
  }

  /** What is alive at `nowMs`. */
  list(nowMs: number): HolderRecord[] {
    return [...this.#byHolder.values()].filter(
      ({ announcement: a }) =>
        a.state !== "gone" && a.issuedMs + a.ttlMs > nowMs,
    );
  }

  #remove(condemned: (announcement: Announcement) => boolean): boolean {
    const before = this.#byHolder.size;
    for (const [key, record] of this.#byHolder)
      if (condemned(record.announcement)) this.#byHolder.delete(key);
    return this.#byHolder.size !== before;
  }
}
