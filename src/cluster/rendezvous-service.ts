/**
 * The rendezvous' side: knows the members of each cluster, answers who they are, and pushes changes to whoever subscribed. It
 * keeps signed records and passes them on; what they mean is each reader's own view.
 */
import {
  type Clock,
  type EventSink,
  ShoalError,
  systemClock,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import { type Sealed, unseal } from "./announcement.ts";
import {
  type ClusterRecord,
  supersedes,
  unsealClusterRecord,
} from "./cluster-record.ts";
import {
  ANNOUNCE,
  CLUSTER_CHANGED,
  GET_CLUSTER,
  PUBLISH_CLUSTER,
  RECORDS_PER_MESSAGE,
} from "./protocol.ts";
import {
  ClusterRecords,
  type HolderRecord,
  MAX_RECORDS_PER_CLUSTER,
} from "./records.ts";

export interface RendezvousServiceOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  clock?: Clock;
}

const RENDEZVOUS_DEFAULTS = Object.freeze({
  /** A bound on what strangers can make this process keep. */
  maxClusters: 1_000,
  /** Expired records are looked for this often; views filter by time themselves. */
  sweepMs: 5_000,
  /** A subscriber that does not take a push for so long gets no more until it asks again. */
  pushTimeoutMs: 5_000,
});

interface Cluster {
  records: ClusterRecords;
  subscribers: Set<string>;
  published: { record: ClusterRecord; sealed: Sealed } | undefined;
}

export class RendezvousService {
  #host: Host;
  #commands: Commands;
  #events: EventSink;
  #clock: Clock;
  #clusters = new Map<string, Cluster>();
  #unsubscribe: (() => void) | undefined;
  #cancelSweep: (() => void) | undefined;

  constructor(options: RendezvousServiceOptions) {
    this.#host = options.host;
    this.#commands = options.commands;
    this.#events = options.events;
    this.#clock = options.clock ?? systemClock;
  }

  start(): void {
    this.#commands.handle(
      ANNOUNCE.name,
      ANNOUNCE.params,
      async ({ cluster, sealed }, { peer }) => {
        const announcement = await unseal(sealed, this.#clock.now());
        if (announcement.peer !== peer || announcement.cluster !== cluster) {
          throw new ShoalError(
            "COMMAND_UNAUTHORIZED",
            "a peer announces itself, in the cluster it names",
          );
        }
        const { records } = this.#cluster(cluster);
        this.#put(cluster, { announcement, sealed });
        return { members: records.size };
      },
    );
    this.#commands.handle(
      GET_CLUSTER.name,
      GET_CLUSTER.params,
      ({ cluster, subscribe, offset }, { peer }) => {
        const known = subscribe
          ? this.#cluster(cluster)
          : this.#clusters.get(cluster);
        if (subscribe) known?.subscribers.add(peer);
        const records = known?.records.list(this.#clock.now()) ?? [];
        const page = records.slice(offset, offset + RECORDS_PER_MESSAGE);
        return {
          records: page.map((record) => record.sealed),
          total: records.length,
          record: known?.published?.sealed ?? null,
        };
      },
    );
    this.#commands.handle(
      PUBLISH_CLUSTER.name,
      PUBLISH_CLUSTER.params,
      async ({ cluster, record }) => ({
        record: await this.#publish(cluster, record),
      }),
    );
    this.#unsubscribe = this.#host.onPeer(({ type, peer }) => {
      if (type === "disconnected") this.#onDisconnected(peer);
    });
    this.#sweep();
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#cancelSweep?.();
  }

  /** Members of each cluster, for the status. */
  members(): { cluster: string; records: HolderRecord[] }[] {
    const now = this.#clock.now();
    return [...this.#clusters].map(([cluster, { records }]) => ({
      cluster,
      records: records.list(now),
    }));
  }

  #cluster(name: string): Cluster {
    let cluster = this.#clusters.get(name);
    if (cluster === undefined) {
      if (this.#clusters.size >= RENDEZVOUS_DEFAULTS.maxClusters) {
        throw new ShoalError(
          "CLUSTER_FULL",
          "this rendezvous keeps no more clusters",
          { clusters: this.#clusters.size },
        );
      }
      cluster = {
        records: new ClusterRecords(),
        subscribers: new Set(),
        published: undefined,
      };
      this.#clusters.set(name, cluster);
    }
    return cluster;
  }

  #put(name: string, record: HolderRecord): void {
    const { records } = this.#cluster(name);
    const { peer, state, layerStart, layerEnd, shard } = record.announcement;
    if (records.size >= MAX_RECORDS_PER_CLUSTER)
      throw new ShoalError(
        "CLUSTER_FULL",
        `cluster ${name} has too many members`,
      );
    const outcome = records.put(record);
    if (outcome === "stale") return;
    if (outcome !== "renewed") {
      const shown = {
        cluster: name,
        peer,
        shard: `${shard.index}/${shard.count}`,
        layers: `${layerStart}-${layerEnd - 1}`,
        state,
      };
      this.#events.info(
        "CLUSTER",
        state === "gone" ? "a member said goodbye" : `a member is ${state}`,
        shown,
      );
    }
    if (state === "gone") records.expire(this.#clock.now());
    this.#push(name, [record], state === "gone" ? [peer] : []);
  }

  /** Keeps the record if it is newer, and gives back the one that holds. */
  async #publish(name: string, sealed: Sealed): Promise<Sealed> {
    const record = await unsealClusterRecord(sealed);
    if (record.cluster !== name)
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        "the record is of another cluster",
      );
    const cluster = this.#cluster(name);
    if (!supersedes(record, cluster.published?.record))
      return cluster.published?.sealed ?? sealed;
    cluster.published = { record, sealed };
    const { manifest, model, shards, key } = record;
    this.#events.info("CLUSTER", `cluster ${name} serves ${model}`, {
      manifest,
      shards,
      key,
    });
    this.#push(name, [], []);
    return sealed;
  }

  #onDisconnected(peer: string): void {
    if (this.#host.connections().some((connection) => connection.peer === peer))
      return; // another connection is left
    for (const [name, { records, subscribers }] of this.#clusters) {
      subscribers.delete(peer);
      if (records.removePeer(peer)) {
        this.#events.warn(
          "CLUSTER",
          "a member is gone: its connection was lost",
          { cluster: name, peer },
        );
        this.#push(name, [], [peer]);
      }
      if (records.size === 0 && subscribers.size === 0)
        this.#clusters.delete(name);
    }
  }

  #push(
    name: string,
    records: readonly HolderRecord[],
    gone: readonly string[],
  ): void {
    const about = new Set(records.map(({ announcement }) => announcement.peer));
    const message = {
      cluster: name,
      records: records.map(({ sealed }) => sealed),
      gone: [...gone],
      record: this.#cluster(name).published?.sealed ?? null,
    };
    const { subscribers } = this.#cluster(name);
    for (const subscriber of subscribers) {
      if (about.has(subscriber)) continue;
      this.#commands
        .call(
          subscriber,
          CLUSTER_CHANGED.name,
          message,
          CLUSTER_CHANGED.result,
          { timeoutMs: RENDEZVOUS_DEFAULTS.pushTimeoutMs },
        )
        .catch((error: unknown) => {
          subscribers.delete(subscriber);
          const { code, message: why } = ShoalError.from(error);
          this.#events.warn(
            "CLUSTER",
            `a subscriber did not take the news: ${why}`,
            { cluster: name, peer: subscriber, code },
          );
        });
    }
  }

  #sweep(): void {
    for (const { records } of this.#clusters.values())
      records.expire(this.#clock.now());
    this.#cancelSweep = this.#clock.after(RENDEZVOUS_DEFAULTS.sweepMs, () =>
      this.#sweep(),
    );
  }
}
