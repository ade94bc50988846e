/**
 * The datastore below libp2p, with checks in front: it bounds what strangers can make this host keep, and only a newer record replaces a
 * record. kad-dht (16.4.5) accepts every PUT and has no bounds; it validates before it writes, so two PUTs at once could leave the older
 * one. Here check and write are one step.
 *
 * It keeps an index in memory: about 200 bytes per record.
 */
import { hash } from "node:crypto";
import { Record as KadRecord } from "@libp2p/kad-dht";
import { BaseDatastore } from "datastore-core";
import {
  Key,
  type Datastore,
  type KeyQuery,
  type Pair,
  type Query,
} from "interface-datastore";
import { base32 } from "multiformats/bases/base32";
import { ShoalError, type Clock } from "../../lib/index.ts";
import { keyText, type RecordKinds } from "./records.ts";

const RECORDS = "/dht/record/";
const PROVIDERS = "/dht/provider/";
const PEERS = "/peers/";

const DHT_STORE_LIMITS = Object.freeze({
  /** Value records of others. Beyond this, the one renewed longest ago goes. */
  records: 10_000,
  recordBytes: 64 * 1024 * 1024,
  /** Provider records: a small cluster's rendezvous keeps them all, some 500 parts of a model for each of 100 nodes. */
  providerRecords: 50_000,
  /** A peer provides its parts and files, no more than this. */
  providerRecordsOfPeer: 5_000,
  providersOfKey: 512,
  /** A provider key is a multihash of 34 bytes; in base32. */
  providerKeyCharacters: 64,
  /** Peers remembered with their addresses; the oldest go first. */
  peers: 20_000,
  peerBytes: 16 * 1024,
  /** As in kad-dht. */
  providerLifetimeMs: 48 * 3_600_000,
  sweepMs: 60_000,
});
export type DhtStoreLimits = Readonly<
  Record<keyof typeof DHT_STORE_LIMITS, number>
>;

interface Kept {
  key: Key;
  seq: number;
  owner: string;
  digest: string;
  bytes: number;
  expiresMs: number;
  /** Put by this host itself. */
  own: boolean;
}

export interface DhtStoreOptions {
  inner: Datastore;
  kinds: RecordKinds;
  /** This host's own id: its provider records from an earlier run are forgotten; it announces again what it still has. */
  peerId: string;
  clock: Clock;
  limits?: Partial<DhtStoreLimits> | undefined;
}

export class DhtStore extends BaseDatastore {
  readonly #inner: Datastore;
  readonly #options: DhtStoreOptions;
  readonly #limits: DhtStoreLimits;
  /** Renewed longest ago first. */
  readonly #records = new Map<string, Kept>();
  #recordBytes = 0;
  readonly #providers = new Set<string>();
  readonly #providersOfPeer = new Map<string, number>();
  readonly #providersOfKey = new Map<string, number>();
  readonly #peers = new Set<string>();
  #cancelSweep: () => void = () => {};

  constructor(options: DhtStoreOptions) {
    super();
    this.#options = options;
    this.#inner = options.inner;
    this.#limits = { ...DHT_STORE_LIMITS, ...options.limits };
  }

  /** Records kept for others. */
  get recordsOfOthers(): number {
    let own = 0;
    for (const kept of this.#records.values()) if (kept.own) own++;
    return this.#records.size - own;
  }

  get providerRecords(): number {
    return this.#providers.size;
  }

  /** Reads what an earlier run left, and drops expired records. */
  async open(): Promise<void> {
    await this.#openRecords();
    await this.#openProviders();
    for await (const key of this.#inner.queryKeys({ prefix: PEERS }))
      this.#peers.add(key.toString());
  }

  /** Starts dropping expired records. Separate from `open`, so that a host that is never started has no timer. */
  start(): void {
    this.#sweepLater();
  }

  close(): void {
    this.#cancelSweep();
  }

  /** The record under `key` that this host keeps. */
  async record(key: string): Promise<Uint8Array | undefined> {
    const at = recordKey(key);
    if (this.#alive(at.toString()) === undefined) return undefined;
    return KadRecord.deserialize(await this.#inner.get(at)).value;
  }

  /** Keeps this host's own record. Rejects with DHT_RECORD_REFUSED if a newer one is kept. */
  async putOwn(key: string, value: Uint8Array): Promise<void> {
    const bytes = new TextEncoder().encode(key);
    const record = new KadRecord(
      bytes,
      value,
      new Date(this.#options.clock.now()),
    );
    const at = recordKey(key);
    await this.#putRecord(at, record.serialize(), true);
  }

  override async put(key: Key, value: Uint8Array): Promise<Key> {
    const name = key.toString();
    if (name.startsWith(RECORDS)) await this.#putRecord(key, value, false);
    else if (name.startsWith(PROVIDERS)) await this.#putProvider(key, value);
    else if (name.startsWith(PEERS)) await this.#putPeer(key, value);
    else await this.#inner.put(key, value);
    return key;
  }

  override async get(key: Key): Promise<Uint8Array> {
    const name = key.toString();
    if (name.startsWith(RECORDS) && this.#alive(name) === undefined)
      throw notFound(name);
    return await this.#inner.get(key);
  }

  override async has(key: Key): Promise<boolean> {
    const name = key.toString();
    if (name.startsWith(RECORDS)) return this.#alive(name) !== undefined;
    return await this.#inner.has(key);
  }

  override async delete(key: Key): Promise<void> {
    const name = key.toString();
    this.#dropRecord(name);
    this.#dropProvider(name);
    this.#peers.delete(name);
    await this.#inner.delete(key);
  }

  override query(query: Query): AsyncGenerator<Pair> | Generator<Pair> {
    return this.#inner.query(query);
  }

  override queryKeys(query: KeyQuery): AsyncGenerator<Key> | Generator<Key> {
    return this.#inner.queryKeys(query);
  }

  // value records

  async #putRecord(key: Key, value: Uint8Array, own: boolean): Promise<void> {
    const name = key.toString();
    const next = this.#describe(key, value, own);
    const known = this.#alive(name);
    if (known !== undefined) {
      if (next.owner !== known.owner)
        throw refused("foreign", "its key belongs to another owner");
      if (next.seq < known.seq)
        throw refused(
          "stale",
          `number ${next.seq} is below the kept ${known.seq}`,
        );
      if (next.seq === known.seq && next.digest !== known.digest)
        throw refused("stale", `another record has the number ${next.seq}`);
      next.own ||= known.own;
    }
    this.#dropRecord(name);
    const evicted = this.#makeRoom(next);
    this.#addRecord(name, next);
    // Started before anything is awaited, so that writes reach the disk in the order of the index.
    const written = this.#inner.put(key, value);
    for (const old of evicted) await this.#inner.delete(old);
    await written;
  }

  #describe(key: Key, value: Uint8Array, own: boolean): Kept {
    const record = KadRecord.deserialize(value);
    const kind = this.#options.kinds.of(keyText(record.key));
    return {
      key,
      seq: kind.seq(record.value),
      owner: kind.owner?.(record.value) ?? "",
      digest: hash("sha256", record.value, "base64"),
      bytes: value.length,
      expiresMs: record.timeReceived.getTime() + kind.lifetimeMs,
      own,
    };
  }

  #makeRoom(next: Kept): Key[] {
    const evicted: Key[] = [];
    const full = (): boolean =>
      this.#records.size >= this.#limits.records ||
      this.#recordBytes + next.bytes > this.#limits.recordBytes;
    for (const [name, kept] of this.#records) {
      if (!full()) break;
      if (kept.own) continue;
      this.#dropRecord(name);
      evicted.push(kept.key);
    }
    if (full() && !next.own)
      throw refused("full", "no room for records of others");
    return evicted;
  }

  #addRecord(name: string, kept: Kept): void {
    this.#records.set(name, kept);
    this.#recordBytes += kept.bytes;
  }

  #dropRecord(name: string): void {
    const kept = this.#records.get(name);
    if (kept === undefined) return;
    this.#records.delete(name);
    this.#recordBytes -= kept.bytes;
  }

  #alive(name: string): Kept | undefined {
    const kept = this.#records.get(name);
    return kept !== undefined && kept.expiresMs > this.#options.clock.now()
      ? kept
      : undefined;
  }

  async #openRecords(): Promise<void> {
    const over: Key[] = [];
    for await (const { key, value } of this.#inner.query({ prefix: RECORDS })) {
      try {
        const kept = this.#describe(key, value, false);
        if (kept.expiresMs <= this.#options.clock.now()) over.push(key);
        else {
          over.push(...this.#makeRoom(kept));
          this.#addRecord(key.toString(), kept);
        }
      } catch {
        // A damaged record, or one of a kind from an earlier version.
        over.push(key);
      }
    }
    for (const key of over) await this.#inner.delete(key);
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#options.clock.after(this.#limits.sweepMs, () => {
      void this.#sweep().finally(() => this.#sweepLater());
    });
  }

  async #sweep(): Promise<void> {
    for (const [name, kept] of this.#records) {
      if (this.#alive(name) !== undefined) continue;
      this.#dropRecord(name);
      await Promise.resolve(this.#inner.delete(kept.key)).catch(() => {});
    }
  }

  // provider records

  async #putProvider(key: Key, value: Uint8Array): Promise<void> {
    const name = key.toString();
    if (!this.#providers.has(name)) {
      const { what, peer } = providerOf(name);
      if (what.length > this.#limits.providerKeyCharacters)
        throw refused("oversized", "a provider key is a SHA-256 multihash");
      const own = peer === this.#options.peerId;
      if (
        !own &&
        (this.#providers.size >= this.#limits.providerRecords ||
          (this.#providersOfPeer.get(peer) ?? 0) >=
            this.#limits.providerRecordsOfPeer ||
          (this.#providersOfKey.get(what) ?? 0) >= this.#limits.providersOfKey)
      )
        throw refused("full", "no room for provider records of others");
      this.#addProvider(name);
    }
    await this.#inner.put(key, value);
  }

  #addProvider(name: string): void {
    const { what, peer } = providerOf(name);
    this.#providers.add(name);
    change(this.#providersOfPeer, peer, 1);
    change(this.#providersOfKey, what, 1);
  }

  #dropProvider(name: string): void {
    if (!this.#providers.delete(name)) return;
    const { what, peer } = providerOf(name);
    change(this.#providersOfPeer, peer, -1);
    change(this.#providersOfKey, what, -1);
  }

  async #openProviders(): Promise<void> {
    const { clock, peerId } = this.#options;
    const over: Key[] = [];
    for await (const { key, value } of this.#inner.query({
      prefix: PROVIDERS,
    })) {
      const name = key.toString();
      const bornMs = varint(value);
      if (
        providerOf(name).peer === peerId ||
        bornMs + this.#limits.providerLifetimeMs <= clock.now() ||
        this.#providers.size >= this.#limits.providerRecords
      )
        over.push(key);
      else this.#addProvider(name);
    }
    for (const key of over) await this.#inner.delete(key);
  }

  // peers

  async #putPeer(key: Key, value: Uint8Array): Promise<void> {
    if (value.length > this.#limits.peerBytes)
      throw refused("oversized", `a peer of ${value.length} bytes`);
    const name = key.toString();
    this.#peers.delete(name);
    this.#peers.add(name);
    if (this.#peers.size > this.#limits.peers) {
      const [oldest] = this.#peers;
      if (oldest !== undefined) await this.delete(new Key(oldest));
    }
    await this.#inner.put(key, value);
  }
}

/** As kad-dht writes it. */
function recordKey(key: string): Key {
  const bytes = new TextEncoder().encode(key);
  return new Key(`${RECORDS}${base32.baseEncode(bytes)}`, false);
}

function providerOf(name: string): { what: string; peer: string } {
  const [what = "", peer = ""] = name.slice(PROVIDERS.length).split("/");
  return { what, peer };
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next > 0) counts.set(key, next);
  else counts.delete(key);
}

/** The time of a provider record: an unsigned LEB128. 0 if it is invalid. */
function varint(bytes: Uint8Array): number {
  let value = 0;
  for (const [at, byte] of bytes.entries()) {
    if (at > 7) return 0;
    value += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return value;
  }
  return 0;
}

/** What kad-dht understands as "there is none". */
function notFound(name: string): Error {
  return Object.assign(new Error(`nothing is kept under ${name}`), {
    name: "NotFoundError",
  });
}

function refused(reason: string, what: string): ShoalError {
  return new ShoalError(
    "DHT_RECORD_REFUSED",
    `record refused (${reason}): ${what}`,
    { reason },
  );
}
