/**
 * A DHT that stores: small signed records under names, and who provides what, kept by the peers closest to the key. There is no quorum:
 * an outcome tells who was asked and what each said, and a caller tells no more than that.
 *
 *     const { stored, words } = await host.dht.put(`/shoal-node/${cluster}/${host.peerId}`, sealed);
 *     if (stored.length > 0) events.info("DHT", `announced: ${words}`);
 *
 * Records are of the kinds given in HostOptions. What was put or provided is said again on its own (dht-republish.ts) until it is
 * forgotten. Who keeps it has it for the kind's lifetime, a provider record for 48 h.
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
   * Keeps the record here and at the peers closest to its key. Rejects with DHT_RECORD_INVALID for what nobody would take, and with
   * DHT_RECORD_REFUSED where a newer one is kept here.
   */
  put(
    key: string,
    value: Uint8Array,
    options?: WaitOptions,
  ): Promise<StoreOutcome>;
  get(key: string, options?: WaitOptions): Promise<GetOutcome>;
  /** Says that this host provides `key`; `stored` are the peers that name it as a provider when they are asked afterwards. */
  provide(key: ProviderKey, options?: WaitOptions): Promise<StoreOutcome>;
  findProviders(
    key: ProviderKey,
    options?: FindOptions,
  ): Promise<ProvidersOutcome>;
  /** A record is not said again; where it is kept it expires. */
  forget(key: string): void;
  /** This host does not provide it any more; others hear of that when its records expire. */
  unprovide(key: ProviderKey): Promise<void>;
  /** Has one peer store and answer a record and a provider record of this host. */
  probe(peer: string, options?: WaitOptions): Promise<DhtProbe>;
  status(): DhtState;
  /** For the status: what the test at the start said. */
  noteSelfTest(result: "passed" | "failed"): void;
}

/** What one peer did with a record it was sent. */
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
