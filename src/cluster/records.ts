/** The newest announcement of each peer and shard. Pure state; the time comes in. */
import { createHash } from "node:crypto";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Passed,
  type Sealed,
} from "./announcement.ts";
import type { Renewed } from "./renewal.ts";

export interface HolderRecord {
  announcement: Announcement;
  /** The sealed original, to pass on. */
  sealed: Sealed;
  /** When it was sealed or last renewed, by this process's own clock. */
  bornMs: number;
  /** Its newest renewal. */
  renewed?: Renewed | undefined;
  /** What it replaced, so that a neighbour that knows that one needs to hear the difference only. */
  previous?: Previous | undefined;
  /** Made once, by `digestOf`. */
  digest?: Digest;
  /** Made once, by `prefixOf`. */
  prefix?: number;
}

export interface Previous {
  seq: number;
  sealed: Sealed;
}

/** A short id of the record, enough to know whether it is news. */
export interface Digest {
  /** Of the holder: the peer and its layers. */
  id: string;
  /** Of the record as it was last renewed (`numberOf`). */
  seq: number;
}

/** Grows with each record of a holder and each renewal of it: its peer numbers the next record above. */
export function numberOf({ announcement, renewed }: HolderRecord): number {
  return announcement.seq + (renewed?.step ?? 0);
}

/** Bytes of SHA-256. Nobody finds a second peer and range with the same 80 bits. */
export const ID_BYTES = 10;

/** More holders than any real cluster: a bound on what strangers can make a rendezvous keep. */
const MAX_RECORDS_PER_CLUSTER = 10_000;
/** Shards of one peer. */
const MAX_RECORDS_PER_PEER = 64;
/** A record that is over here may live for as long elsewhere: each that passed it on counted its age anew from its arrival. */
const GRAVE_MS = 30_000;
/** The number that a holder ended with is remembered for as long as renewals of it can exist: nobody brings it back with an old one. */
const ENDED_MS = 2 * 3_600_000;

export type PutOutcome = "new" | "changed" | "renewed" | "stale" | "full";

/** The holder of a record: a peer and its layers, base64url. */
export function holderId({
  peer,
  layerStart,
  layerEnd,
}: Pick<Announcement, "peer" | "layerStart" | "layerEnd">): string {
  return createHash("sha256")
    .update(`${peer}/${layerStart}-${layerEnd}`)
    .digest()
    .subarray(0, ID_BYTES)
    .toString("base64url");
}

export function digestOf(record: HolderRecord): Digest {
  record.digest ??= {
    id: holderId(record.announcement),
    seq: numberOf(record),
  };
  return record.digest;
}

/** As it is passed on at `nowMs`. */
export function passedOf(
  { sealed, bornMs, renewed }: HolderRecord,
  nowMs: number,
): Passed {
  const ageMs = Math.round(Math.max(0, nowMs - bornMs));
  return { ...sealed, ageMs: Math.min(ageMs, ANNOUNCEMENT.maxTtlMs), renewed };
}

/** How far it was renewed: step 0 is the record itself. Undefined if it cannot be renewed. */
export function renewedOf({
  announcement: { renewal },
  renewed,
}: HolderRecord): Renewed | undefined {
  if (renewed !== undefined || renewal === undefined) return renewed;
  return { step: 0, value: renewal };
}

/** `record` as it replaces `known`. */
export function after(
  record: HolderRecord,
  known: HolderRecord | undefined,
): HolderRecord {
  if (known === undefined) return record;
  const { announcement, sealed } = known;
  const { seq } = announcement;
  return seq === record.announcement.seq
    ? { ...record, previous: known.previous }
    : { ...record, previous: { seq, sealed } };
}

function isAlive(
  { announcement, bornMs }: HolderRecord,
  nowMs: number,
): boolean {
  const { state, ttlMs } = announcement;
  return state !== "gone" && bornMs + ttlMs > nowMs;
}

/** A holder that is gone, and the number of its last known record. */
export interface Ended {
  peer: string;
  seq: number;
  untilMs: number;
}

export interface Grave extends Ended {
  /** Its own goodbye, if it said one. */
  goodbye: HolderRecord | undefined;
  /** Where it was said to be. */
  addresses: readonly string[];
}

interface Entry {
  record: HolderRecord;
  sinceMs: number;
}

export class ClusterRecords {
  #byHolder = new Map<string, Entry>();
  #ofPeer = new Map<string, Entry[]>();
  /** For holders that are gone: up to which record. Until that expires, it must not come back from a peer that has not heard. */
  #graves = new Map<string, Grave>();
  /** Numbers of holders whose graves are gone, too. */
  #ended = new Map<string, Ended>();

  get size(): number {
    return this.#byHolder.size;
  }

  /** Keeps `record` if it is newer than what is known: "new", "changed", "renewed" (only the time is new), "stale", or "full". */
  put(record: HolderRecord, nowMs: number = record.bornMs): PutOutcome {
    const { announcement } = record;
    const { peer } = announcement;
    const key = digestOf(record).id;
    const entry = this.#byHolder.get(key);
    if (entry !== undefined) {
      const known = entry.record.announcement;
      if (numberOf(entry.record) >= numberOf(record)) return "stale";
      entry.record = record;
      this.#ended.delete(key);
      const isSame =
        known.state === announcement.state &&
        known.manifest === announcement.manifest;
      return isSame ? "renewed" : "changed";
    }
    if (this.#endedWith(key) >= numberOf(record)) return "stale";
    const ofPeer = this.#ofPeer.get(peer) ?? [];
    if (
      this.#byHolder.size >= MAX_RECORDS_PER_CLUSTER ||
      ofPeer.length >= MAX_RECORDS_PER_PEER
    )
      return "full";
    const added = { record, sinceMs: nowMs };
    this.#byHolder.set(key, added);
    this.#ofPeer.set(peer, [...ofPeer, added]);
    this.#graves.delete(key);
    this.#ended.delete(key);
    return "new";
  }

  /** The holder's record is still true: it lives on from `bornMs`. The renewal was checked. */
  renew(key: string, renewed: Renewed, bornMs: number): void {
    const entry = this.#byHolder.get(key);
    if (entry === undefined) return;
    // Whoever holds the record of before goes on with it.
    const record = { ...entry.record, renewed, bornMs };
    entry.record = { ...record, digest: { id: key, seq: numberOf(record) } };
  }

  /** The number of the newest record of a holder, even if it is gone; -1 if none is known. */
  seqOf(key: string): number {
    const record = this.get(key);
    return record === undefined ? this.#endedWith(key) : numberOf(record);
  }

  get(key: string): HolderRecord | undefined {
    return this.#byHolder.get(key)?.record;
  }

  /** What one peer holds. */
  of(peer: string): HolderRecord[] {
    return (this.#ofPeer.get(peer) ?? []).map(({ record }) => record);
  }

  /** A peer's last known addresses, present or gone; undefined if it said goodbye or is unknown. */
  addressesOf(peer: string): readonly string[] | undefined {
    const [record] = this.of(peer);
    if (record !== undefined) return record.announcement.addresses;
    for (const grave of this.#graves.values())
      if (grave.peer === peer && grave.goodbye === undefined)
        return grave.addresses;
    return undefined;
  }

  /** A holder that is gone, for longer than its grave is kept. */
  ended(id: string): Ended | undefined {
    return this.#graves.get(id) ?? this.#ended.get(id);
  }

  /** A holder that is gone and whose records must not come back. */
  grave(id: string): Grave | undefined {
    return this.#graves.get(id);
  }

  /** Since when a holder is known. */
  sinceMs(announcement: Announcement): number | undefined {
    return this.#byHolder.get(holderId(announcement))?.sinceMs;
  }

  /** When the holder's record was sealed or renewed last. */
  heardMs(announcement: Announcement): number | undefined {
    return this.get(holderId(announcement))?.bornMs;
  }

  /** Forgets a peer's records up to `seq`; only a newer one brings it back. Returns whether there were any. */
  removePeer(peer: string, seq: number = Number.MAX_SAFE_INTEGER): boolean {
    const condemned = this.of(peer).filter((r) => numberOf(r) <= seq);
    for (const record of condemned) this.#bury(record);
    return condemned.length > 0;
  }

  /** Forgets what has expired or said goodbye. */
  expire(nowMs: number): boolean {
    const before = this.#byHolder.size;
    for (const { record } of this.#byHolder.values())
      if (!isAlive(record, nowMs)) this.#bury(record);
    for (const [key, { peer, seq, untilMs }] of this.#graves)
      if (untilMs <= nowMs) {
        this.#graves.delete(key);
        const end = { peer, seq, untilMs: untilMs + ENDED_MS };
        keepNewest(this.#ended, key, end);
      }
    for (const [key, { untilMs }] of this.#ended) {
      if (untilMs > nowMs) break; // the oldest come first
      this.#ended.delete(key);
    }
    return this.#byHolder.size !== before;
  }

  /** What is alive at `nowMs`. */
  list(nowMs: number): HolderRecord[] {
    const living: HolderRecord[] = [];
    for (const { record } of this.#byHolder.values())
      if (isAlive(record, nowMs)) living.push(record);
    return living;
  }

  #endedWith(key: string): number {
    return this.ended(key)?.seq ?? -1;
  }

  #bury(record: HolderRecord): void {
    const { announcement: a } = record;
    const key = digestOf(record).id;
    this.#byHolder.delete(key);
    const rest = (this.#ofPeer.get(a.peer) ?? []).filter(
      (entry) => entry.record !== record,
    );
    if (rest.length === 0) this.#ofPeer.delete(a.peer);
    else this.#ofPeer.set(a.peer, rest);
    const untilMs = record.bornMs + a.ttlMs + GRAVE_MS;
    const goodbye = a.state === "gone" ? record : undefined;
    const { peer, addresses } = a;
    const seq = numberOf(record);
    const grave = { peer, seq, goodbye, addresses, untilMs };
    keepNewest(this.#graves, key, grave);
  }
}

/** Bounded: the oldest goes. */
function keepNewest<T>(all: Map<string, T>, key: string, value: T): void {
  all.delete(key);
  all.set(key, value);
  const [oldest] = all.keys();
  if (all.size > MAX_RECORDS_PER_CLUSTER && oldest !== undefined)
    all.delete(oldest);
}
