/**
 * A member's place in the DHT: it provides its cluster's name and each shard it has loaded, looks the other shards up, and keeps a copy of
 * the cluster's record there. So members are found when no rendezvous is. What is told is what peers confirmed; alone in
 * the network there is nobody to store at, which is no failure.
 */
import {
  type ClusterView,
  clusterKey,
  encodeAnnouncements,
  encodeClusterRecord,
  type Membership,
  nodeKey,
} from "../cluster/index.ts";
import { layersOf } from "../inference/index.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";
import type { Host, ProvidersOutcome, StoreOutcome } from "../network/index.ts";

export interface DhtAnnouncerOptions {
  host: Host;
  membership: Membership;
  events: EventSink;
  cluster: string;
}

/** Shards of a plan that one node looks up at its start; it hears of the rest from members. */
const LOOKUPS = 64;
const LOOKUPS_AT_ONCE = 4;

export class DhtAnnouncer {
  #options: DhtAnnouncerOptions;
  #provided = new Set<string>();
  #hasLooked = false;
  #stopping = new AbortController();

  constructor(options: DhtAnnouncerOptions) {
    this.#options = options;
  }

  /** After each time the member joined. Never rejects. */
  async joined(): Promise<void> {
    await this.#quietly("the cluster", async () => {
      const { cluster, host, membership, events } = this.#options;
      const members = await host.dht.provide(membersKey(cluster), this.#wait());
      events.info("DHT", announced(`cluster ${cluster}`, members), {
        stored: members.stored.length,
      });
      const sealed = membership.publishedSealed();
      if (sealed === undefined) return;
      const value = encodeClusterRecord(sealed);
      const record = await host.dht.put(
        clusterKey(cluster),
        value,
        this.#wait(),
      );
      events.info("DHT", announced("the cluster's record", record), {
        cluster,
      });
    });
  }

  /** Once a shard is loaded and announced. Never rejects. */
  async shardReady(shard: ShardOfPlan): Promise<void> {
    const { cluster, host, events } = this.#options;
    const key = shardKey(cluster, shard);
    if (this.#provided.has(key)) return;
    this.#provided.add(key);
    await this.#quietly("the shard", async () => {
      const provided = await host.dht.provide(key, this.#wait());
      events.info("DHT", announced(`shard ${shard.index}`, provided));
      await this.#announce(shard);
    });
    await this.#lookUp(shard);
  }

  stop(): void {
    this.#stopping.abort(new ShoalError("ABORTED", "stopped"));
  }

  /** Short-lived: who looks later finds the provider records, and asks. */
  async #announce(shard: ShardOfPlan): Promise<void> {
    const { cluster, host, membership, events } = this.#options;
    const key = nodeKey(cluster, host.peerId);
    const value = encodeAnnouncements(await membership.sealed());
    const record = await host.dht.put(key, value, this.#wait());
    host.dht.forget(key);
    events.info("DHT", announced("this node", record), {
      cluster,
      shard: shard.index,
      layers: layersOf(shard),
      peer: host.peerId,
      state: "ready",
      stored: record.stored.length,
    });
  }

  /** The other shards, once: found, or who was asked and what they said. */
  async #lookUp(own: ShardOfPlan): Promise<void> {
    if (this.#hasLooked) return;
    this.#hasLooked = true;
    const view = this.#options.membership.view();
    if (view === undefined) return;
    const others = shardsOf(view)
      .filter(({ index }) => index !== own.index)
      .slice(0, LOOKUPS)
      .values();
    const work = async (): Promise<void> => {
      for (const shard of others)
        await this.#quietly(`shard ${shard.index}`, () => this.#find(shard));
    };
    await Promise.all(Array.from({ length: LOOKUPS_AT_ONCE }, work));
  }

  async #find(shard: ShardOfPlan): Promise<void> {
    const { cluster, host, events } = this.#options;
    const key = shardKey(cluster, shard);
    const outcome = await host.dht.findProviders(key, this.#wait());
    events.info("DHT", `lookup of shard ${shard.index}: ${found(outcome)}`, {
      layers: layersOf(shard),
      asked: outcome.answers.length,
      found: outcome.providers.length,
    });
  }

  #wait(): { signal: AbortSignal } {
    return { signal: this.#stopping.signal };
  }

  async #quietly(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const { code, message } = ShoalError.from(error);
      this.#options.events.warn("DHT", `${what}: ${message}`, { code });
    }
  }
}

export interface ShardOfPlan {
  index: number;
  manifest: string;
  layerStart: number;
  layerEnd: number;
}

function found({ providers, words }: ProvidersOutcome): string {
  if (providers.length === 0) return words;
  const ids = providers.slice(0, 4).map(({ peer }) => peer.slice(-8));
  return `held by ${ids.join(", ")}${providers.length > 4 ? " and others" : ""} (${words})`;
}

function shardsOf(view: ClusterView): ShardOfPlan[] {
  const { manifest } = view;
  return view.shards.map(({ index, layerStart, layerEnd }) => ({
    index,
    layerStart,
    layerEnd,
    manifest,
  }));
}

function membersKey(cluster: string): string {
  return `/shoal-members/${cluster}`;
}

function shardKey(
  cluster: string,
  { manifest, layerStart, layerEnd }: ShardOfPlan,
): string {
  return `/shoal-shard/${cluster}/${manifest}/${layerStart}-${layerEnd}`;
}

function announced(
  what: string,
  { stored, words }: Pick<StoreOutcome, "stored" | "words">,
): string {
  const done = stored.length > 0 ? "announced" : "could not announce";
  return `${done} ${what} in the DHT: ${words}`;
}
