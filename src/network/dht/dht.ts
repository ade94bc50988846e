/**
 * A DHT that stores small signed records under names, and who provides what, at the peers closest to the key. There is no quorum: an
 * outcome tells who was asked and what each answered, and a caller claims no more than that.
 *
 *     const { stored, words } = await host.dht.put(`/shoal-node/${cluster}/${host.peerId}`, sealed);
 *     if (stored.length > 0) events.info("DHT", `announced: ${words}`);
 *
 * Records are of the kinds given in HostOptions. Records are repeated automatically (republish.ts) until they are forgotten. Peers keep
 * them for the kind's lifetime, provider records for 48 h.
 */
import type { WaitOptions } from "../connections.ts";
import type {
  DhtLookup,
  GetOutcome,
  ProvidersOutcome,
  Said,
  StoreOutcome,
} from "./outcome.ts";

/** A name, or the root of a Merkle tree (32 bytes). */
export type ProviderKey = string | Uint8Array;

export interface FindOptions extends WaitOptions {
  /** Enough: the search ends. */
  limit?: number | undefined;
}

export interface Dht {
  /**
   * Keeps the record here and at the peers closest to its key. Rejects with DHT_RECORD_INVALID for a record that nobody would keep, and
   * with DHT_RECORD_REFUSED if a newer one is kept here.
   */
  put(
    key: string,
    value: Uint8Array,
    options?: WaitOptions,
  ): Promise<StoreOutcome>;
  get(key: string, options?: WaitOptions): Promise<GetOutcome>;
  /** Announces that this host provides `key`; `stored` are the peers that name it as a provider when asked afterwards. */
  provide(key: ProviderKey, options?: WaitOptions): Promise<StoreOutcome>;
  findProviders(
    key: ProviderKey,
    options?: FindOptions,
  ): Promise<ProvidersOutcome>;
  /** Stops repeating a record; it expires where it is kept. */
  forget(key: string): void;
  /** Stops providing it; others notice when the records expire. */
  unprovide(key: ProviderKey): Promise<void>;
  /** Tests whether one peer stores and returns a record and a provider record of this host. */
  probe(peer: string, options?: WaitOptions): Promise<DhtProbe>;
  status(): DhtState;
  /** For the status: the result of the self-test. */
  noteSelfTest(result: "passed" | "failed"): void;
}

/** What one peer did with a record. */
export interface DhtProbe {
  put: Said;
  get: Said;
  provide: Said;
  find: Said;
  passed: boolean;
  tookMs: number;
  words: string;
}

export interface DhtState {
  /** Peers in the routing table. */
  peers: number;
  /** Records kept for others, and keys provided by this host. */
  records: number;
  provided: number;
  selfTest: "passed" | "failed" | null;
  lookups: DhtLookup[];
}
