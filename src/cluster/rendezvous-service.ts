/**
 * The rendezvous' side: knows the members of each cluster, lists them, and pushes changes to subscribers. It keeps signed records and
 * passes them on; each reader computes its own view.
 */
import {
  type Clock,
  computeModeOf,
  type EventSink,
  flagsOf,
  ShoalError,
  steadyClock,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import type { Sealed } from "./announcement.ts";
import { type ClusterRecord, unsealClusterRecord } from "./cluster-record.ts";
import {
  type ServedCluster,
  serveClusterCommands,
} from "./cluster-commands.ts";
import { ClocksWatch } from "./clocks-watch.ts";
import { GossipLink } from "./gossip-link.ts";
import { serveGossip } from "./gossip-streams.ts";
import { IdentityChecks } from "./identity-checks.ts";
import { KnownCluster, type Taken } from "./known-cluster.ts";
import type { ClusterStatus } from "../status/index.ts";

export interface RendezvousServiceOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  /** Published clusters are remembered after their last member left. */
  keepsPublished?: boolean;
  /** For how long things last. */
  clock?: Clock;
  /** What the time is. */
  wallMs?: () => number;
}

const RENDEZVOUS_DEFAULTS = Object.freeze({
  /** A bound on what strangers can make this process keep. */
  maxClusters: 1_000,
  /** Interval of removing expired records; views filter by time themselves. */
  sweepMs: 5_000,
  /** A cluster's record is remembered for this long after its last member left, so a publisher need not stay until the first node joins. */
  publishedKeptMs: 10 * 60_000,
});

interface Cluster extends ServedCluster {
  link: GossipLink;
  clocksWatch: ClocksWatch;
  emptySinceMs: number | undefined;
}

export class RendezvousService {
  #host: Host;
  #commands: Commands;
  #events: EventSink;
  #clock: Clock;
  #wallMs: () => number;
  #keepsPublished: boolean;
  #checks: IdentityChecks;
  #clusters = new Map<string, Cluster>();
  #cancelSweep: (() => void) | undefined;

  constructor(options: RendezvousServiceOptions) {
    this.#host = options.host;
    this.#commands = options.commands;
    this.#events = options.events;
    this.#clock = options.clock ?? steadyClock;
    this.#wallMs = options.wallMs ?? Date.now;
    this.#checks = new IdentityChecks({ ...options, clock: this.#clock });
    this.#keepsPublished = options.keepsPublished ?? false;
  }

  start(): void {
    serveClusterCommands(this.#commands, {
      clock: this.#clock,
      wallMs: () => Math.floor(this.#wallMs()),
      open: (name) => this.#open(name),
      find: (name) => this.#clusters.get(name),
      all: () => this.#clusters.values(),
    });
    serveGossip(this.#host, this.#clock, (name) => this.#clusters.get(name));
    this.#checks.start();
    this.#sweep();
  }

  stop(): void {
    this.#cancelSweep?.();
    for (const { link } of this.#clusters.values()) link.stop();
  }

  /** The clusters' signed records. */
  published(): { record: ClusterRecord; sealed: Sealed }[] {
    return [...this.#clusters.values()].flatMap(({ known }) => {
      const { published: record, publishedSealed: sealed } = known;
      return record && sealed ? [{ record, sealed }] : [];
    });
  }

  /** Keeps this record from here on, whoever comes and goes. Throws ANNOUNCEMENT_INVALID or COMMAND_UNAUTHORIZED. */
  async keep(sealed: Sealed): Promise<void> {
    const { cluster } = await unsealClusterRecord(sealed);
    await this.#open(cluster).known.takePublished(sealed);
  }

  /** Whether some cluster has both: they hold something, or joined as members that hold nothing. */
  areMembers(...peers: readonly string[]): boolean {
    return [...this.#clusters.values()].some(({ known, link }) =>
      peers.every(
        (peer) =>
          known.records.of(peer).length > 0 || link.neighbours.includes(peer),
      ),
    );
  }

  /** Each cluster as the rendezvous sees it. */
  status(): ClusterStatus[] {
    return [...this.#clusters.values()].map(({ known }) => known.status());
  }

  /** The clusters that a peer is in: it holds something, or has joined as a member that holds nothing. */
  clustersOf(peer: string): string[] {
    return [...this.#clusters].flatMap(([name, { link }]) =>
      link.isMember(peer) ? [name] : [],
    );
  }

  #open(name: string): Cluster {
    const open = this.#clusters.get(name);
    if (open !== undefined) return open;
    if (this.#clusters.size >= RENDEZVOUS_DEFAULTS.maxClusters) {
      throw new ShoalError(
        "CLUSTER_FULL",
        "this rendezvous has no room for more clusters",
        { clusters: this.#clusters.size },
      );
    }
    const known = new KnownCluster({
      name,
      ownPeer: this.#host.peerId,
      clock: this.#clock,
      wallMs: this.#wallMs,
      rivalOf: (announcement) => this.#checks.rivalOf(announcement),
    });
    const link = new GossipLink({
      host: this.#host,
      commands: this.#commands,
      events: this.#events,
      clock: this.#clock,
      known,
      own: () => [],
      isWitness: () => true,
      isRendezvous: () => false,
      dials: false,
      onChanged: () => {},
      onTaken: (taken) => this.#tell(name, taken),
      onLost: (peer) => {
        const what = "a member's connection was lost";
        this.#events.warn("CLUSTER", what, { cluster: name, peer });
      },
      onRefute: () => {}, // it holds nothing
    });
    const cluster: Cluster = {
      known,
      link,
      clocksWatch: new ClocksWatch(known, this.#events),
      emptySinceMs: undefined,
      own: () => [],
      ownAnnouncements: () => [],
      onTaken: (taken, from) => {
        link.addNeighbour(from);
        link.learned(taken, from, true);
      },
      onPublished: (_, from) => {
        link.published(from);
        const { published } = known;
        if (published === undefined) return;
        const { manifest, model, shards, key } = published;
        this.#events.info("CLUSTER", `cluster ${name} serves ${model}`, {
          manifest,
          shards,
          computes: flagsOf(computeModeOf(published)),
          key,
        });
      },
      subscribe: (peer) => link.addNeighbour(peer),
      gossip: (from, message) => link.receive(from, message),
      pull: () => {}, // its members announce themselves here
    };
    this.#clusters.set(name, cluster);
    link.start();
    return cluster;
  }

  #tell(name: string, { announcement, outcome }: Taken): void {
    if (outcome === "renewed" || outcome === "stale") return;
    const { peer, state, layerStart, layerEnd, shard } = announcement;
    this.#events.info(
      "CLUSTER",
      state === "gone" ? "a member said goodbye" : `a member is ${state}`,
      {
        cluster: name,
        peer,
        shard: `${shard.index}/${shard.count}`,
        layers: `${layerStart}-${layerEnd - 1}`,
        state,
      },
    );
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    for (const [name, cluster] of this.#clusters) {
      const { known, link, clocksWatch } = cluster;
      known.records.expire(nowMs);
      clocksWatch.look();
      const isEmpty = known.records.size === 0 && link.neighbours.length === 0;
      cluster.emptySinceMs = isEmpty
        ? (cluster.emptySinceMs ?? nowMs)
        : undefined;
      if (cluster.emptySinceMs === undefined) continue;
      const emptyMs = nowMs - cluster.emptySinceMs;
      const isWanted =
        known.published !== undefined &&
        (this.#keepsPublished || emptyMs < RENDEZVOUS_DEFAULTS.publishedKeptMs);
      if (isWanted) continue;
      link.stop();
      this.#clusters.delete(name);
    }
    this.#cancelSweep = this.#clock.after(RENDEZVOUS_DEFAULTS.sweepMs, () =>
      this.#sweep(),
    );
  }
}
