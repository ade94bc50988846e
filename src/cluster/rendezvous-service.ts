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
import type { Sealed } from "./announcement.ts";
import {
  type ServedCluster,
  serveClusterCommands,
} from "./cluster-commands.ts";
import { KnownCluster, type Taken } from "./known-cluster.ts";
import { CLUSTER_CHANGED } from "./protocol.ts";
import type { ClusterStatus } from "./status.ts";

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

interface Cluster extends ServedCluster {
  subscribers: Set<string>;
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
    serveClusterCommands(this.#commands, {
      clock: this.#clock,
      open: (name) => this.#open(name),
      find: (name) => this.#clusters.get(name),
    });
    this.#unsubscribe = this.#host.onPeer(({ type, peer }) => {
      if (type === "disconnected") this.#onDisconnected(peer);
    });
    this.#sweep();
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#cancelSweep?.();
  }

  /** Each cluster as the rendezvous sees it. */
  status(): ClusterStatus[] {
    return [...this.#clusters.values()].map(({ known }) => known.status());
  }

  #open(name: string): Cluster {
    const open = this.#clusters.get(name);
    if (open !== undefined) return open;
    if (this.#clusters.size >= RENDEZVOUS_DEFAULTS.maxClusters) {
      throw new ShoalError(
        "CLUSTER_FULL",
        "this rendezvous keeps no more clusters",
        { clusters: this.#clusters.size },
      );
    }
    const known = new KnownCluster(name, this.#host.peerId, this.#clock);
    const subscribers = new Set<string>();
    const cluster: Cluster = {
      known,
      subscribers,
      own: () => [],
      ownAnnouncements: () => [],
      onTaken: (sealed, taken) => this.#onTaken(cluster, sealed, taken),
      onPublished: () => {
        const { published } = known;
        if (published === undefined) return;
        const { manifest, model, shards, key } = published;
        this.#events.info("CLUSTER", `cluster ${name} serves ${model}`, {
          manifest,
          shards,
          key,
        });
        this.#push(cluster, [], []);
      },
      subscribe: (peer) => void subscribers.add(peer),
      pull: () => {}, // its members announce themselves here
    };
    this.#clusters.set(name, cluster);
    return cluster;
  }

  #onTaken(
    cluster: Cluster,
    sealed: Sealed,
    { announcement, outcome }: Taken,
  ): void {
    if (outcome === "stale") return;
    const { peer, state, layerStart, layerEnd, shard } = announcement;
    if (outcome !== "renewed") {
      this.#events.info(
        "CLUSTER",
        state === "gone" ? "a member said goodbye" : `a member is ${state}`,
        {
          cluster: cluster.known.name,
          peer,
          shard: `${shard.index}/${shard.count}`,
          layers: `${layerStart}-${layerEnd - 1}`,
          state,
        },
      );
    }
    if (state === "gone") cluster.known.records.expire(this.#clock.now());
    this.#push(cluster, [{ peer, sealed }], []);
  }

  #onDisconnected(peer: string): void {
    if (this.#host.connections().some((connection) => connection.peer === peer))
      return; // another connection is left
    for (const [name, cluster] of this.#clusters) {
      const { known, subscribers } = cluster;
      subscribers.delete(peer);
      if (known.records.removePeer(peer)) {
        this.#events.warn(
          "CLUSTER",
          "a member is gone: its connection was lost",
          { cluster: name, peer },
        );
        this.#push(cluster, [], [peer]);
      }
      if (known.records.size === 0 && subscribers.size === 0)
        this.#clusters.delete(name);
    }
  }

  #push(
    { known, subscribers }: Cluster,
    records: readonly { peer: string; sealed: Sealed }[],
    gone: readonly string[],
  ): void {
    const about = new Set(records.map(({ peer }) => peer));
    const message = {
      cluster: known.name,
      records: records.map(({ sealed }) => sealed),
      gone: [...gone],
      record: known.publishedSealed ?? null,
    };
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
            { cluster: known.name, peer: subscriber, code },
          );
        });
    }
  }

  #sweep(): void {
    for (const { known } of this.#clusters.values())
      known.records.expire(this.#clock.now());
    this.#cancelSweep = this.#clock.after(RENDEZVOUS_DEFAULTS.sweepMs, () =>
      this.#sweep(),
    );
  }
}
