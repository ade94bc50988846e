/**
 * A member's side: announces the shards this node holds (again before it expires, and at once when it changes), learns of the others
 * through the rendezvous or any other member, answers who asks, and computes the view. A gateway is a member that holds nothing.
 */
import {
  type Clock,
  type EventSink,
  ShoalError,
  systemClock,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Capacity,
  type Sealed,
} from "./announcement.ts";
import {
  type ServedCluster,
  serveClusterCommands,
  unknownCluster,
} from "./cluster-commands.ts";
import type { ClusterRecord } from "./cluster-record.ts";
import { KnownCluster } from "./known-cluster.ts";
import { type LoadShardRequest, serveLoadShard } from "./node-commands.ts";
import { type LayersOf, OwnShards, type OwnState } from "./own-shards.ts";
import {
  ANNOUNCE,
  CLUSTER_CHANGED,
  GET_CLUSTER,
  PUBLISH_CLUSTER,
  SHARD_LOADED,
  SWARM_READY,
} from "./protocol.ts";
import type { HolderRecord } from "./records.ts";
import type { ClusterStatus } from "./status.ts";
import { type ClusterView, clusterView } from "./view.ts";

export interface MembershipOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  cluster: string;
  clock?: Clock;
  /** What the node has to offer, asked at each announcement. */
  capacity?: () => Capacity;
  /** A member asks for a shard to be loaded. Resolves once it is accepted; throws why it is not. Without it LOAD_SHARD is unknown here. */
  onLoadShard?: (request: LoadShardRequest, from: string) => Promise<void>;
}

const CALL_TIMEOUT_MS = 5_000;
/** A view changes in bursts at start-up; listeners hear of the last state of a burst. */
const SETTLE_MS = 20;

export class Membership {
  #options: MembershipOptions;
  #clock: Clock;
  #known: KnownCluster;
  #own: OwnShards;
  /** Those to whom this node announces itself. */
  #rendezvous = new Set<string>();
  #pulling = new Set<string>();
  #wasReady = false;
  #listeners = new Set<(view: ClusterView | undefined) => void>();
  #cancelRenewal: (() => void) | undefined;
  #cancelSettle: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: MembershipOptions) {
    const { host, cluster, clock = systemClock, capacity } = options;
    this.#options = options;
    this.#clock = clock;
    this.#known = new KnownCluster(cluster, host.peerId, clock);
    this.#own = new OwnShards({ host, cluster, clock, capacity });
  }

  start(): void {
    const { commands, host, cluster, onLoadShard } = this.#options;
    const served: ServedCluster = {
      known: this.#known,
      own: () => this.#own.records(),
      ownAnnouncements: () => this.#own.announcements(),
      onTaken: () => this.#changed(),
      onPublished: () => this.#changed(),
      subscribe: () => {},
      pull: (peer) => void this.#pullQuietly(peer),
    };
    const find = (name: string): ServedCluster | undefined =>
      name === cluster ? served : undefined;
    serveClusterCommands(commands, {
      clock: this.#clock,
      open: (name) => find(name) ?? unknownCluster(name),
      find,
    });
    if (onLoadShard !== undefined) {
      serveLoadShard({
        commands,
        cluster,
        isMember: (peer) => this.#known.records.of(peer).length > 0,
        onLoadShard,
        clock: this.#clock,
      });
    }
    commands.handle(
      CLUSTER_CHANGED.name,
      CLUSTER_CHANGED.params,
      async (change, { peer }) => {
        if (!this.#rendezvous.has(peer) || change.cluster !== cluster) {
          throw new ShoalError(
            "COMMAND_UNAUTHORIZED",
            "not a rendezvous of this node",
          );
        }
        for (const sealed of change.records) await this.#learn(sealed);
        for (const gone of change.gone) this.#known.records.removePeer(gone);
        if (change.record !== null)
          await this.#known.takePublished(change.record);
        this.#changed();
        return {};
      },
    );
    this.#unsubscribe = host.onPeer(({ type, peer }) => {
      // A lost connection makes a member suspect at once; if it lives, its next announcement brings it back.
      if (
        type !== "disconnected" ||
        host.connections().some((connection) => connection.peer === peer)
      )
        return;
      this.#rendezvous.delete(peer);
      if (this.#known.records.removePeer(peer)) this.#changed();
    });
    this.#sweep();
    this.#scheduleRenewal();
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancelRenewal?.();
    this.#cancelSettle?.();
    this.#cancelExpiry?.();
  }

  /** Joins through a rendezvous or member that was just connected: announces, asks who is there, subscribes. Returns the members known. */
  async join(through: string): Promise<number> {
    this.#rendezvous.add(through);
    const records = await this.#own.sealAll();
    await Promise.all(records.map((r) => this.#announceTo(through, r)));
    await this.#publishTo(through);
    await this.#pull(through);
    return this.announcements().length;
  }

  /**
   * Holds a shard from now on, or says anew how it is with it: `say` is asked now and at each renewal, so that sessions, speed and
   * progress are of that time. Resolves when every rendezvous has confirmed it, or rejects with the first refusal.
   */
  async hold(say: () => OwnState): Promise<void> {
    const held = this.#own.hold(say);
    this.#changed();
    const record = await this.#own.seal(held);
    if (record !== undefined) await this.#spread(record);
  }

  /** Says goodbye for one shard. Never rejects: who does not hear it will notice. */
  async release(layers: LayersOf): Promise<void> {
    await this.#sayGoodbye(layers);
  }

  /** Says goodbye for all shards. Never rejects: who does not hear it will notice. */
  async leave(): Promise<void> {
    await this.#sayGoodbye();
  }

  /** All live announcements, this node's own first: a node counts itself. */
  announcements(): Announcement[] {
    const others = this.#known.records.list(this.#clock.now());
    return [
      ...this.#own.announcements(),
      ...others.map(({ announcement }) => announcement),
    ];
  }

  view(): ClusterView | undefined {
    return clusterView(this.announcements());
  }

  /** The cluster as this node sees it, for people. */
  status(): ClusterStatus {
    return this.#known.status(this.#own.announcements());
  }

  /** Hears every change of the view, and the present one at once. Returns the function that unsubscribes. */
  onChange(listener: (view: ClusterView | undefined) => void): () => void {
    this.#listeners.add(listener);
    listener(this.view());
    return () => this.#listeners.delete(listener);
  }

  /** What the cluster serves, by its own signed word; undefined while nobody published it. */
  published(): ClusterRecord | undefined {
    return this.#known.published;
  }

  /** Publishes the cluster's record here and at every rendezvous; again at each that comes back without it. */
  async publish(sealed: Sealed): Promise<void> {
    await this.#known.takePublished(sealed);
    await Promise.all(
      [...this.#rendezvous].map((peer) => this.#publishTo(peer)),
    );
  }

  /** Tells every rendezvous, and of a shard that is loaded every connected member too. */
  async #spread(record: HolderRecord): Promise<void> {
    const { host } = this.#options;
    if (record.announcement.state === "ready") {
      const connected = new Set(host.connections().map(({ peer }) => peer));
      for (const peer of connected) {
        const isMember = this.#known.records.of(peer).length > 0;
        if (isMember && !this.#rendezvous.has(peer))
          this.#announceTo(peer, record).catch(() => {}); // the rendezvous tells it, too
      }
    }
    await Promise.all(
      [...this.#rendezvous].map((peer) => this.#announceTo(peer, record)),
    );
  }

  async #announceTo(peer: string, record: HolderRecord): Promise<void> {
    const { cluster, commands } = this.#options;
    const { sealed, announcement } = record;
    const command = announcement.state === "ready" ? SHARD_LOADED : ANNOUNCE;
    await commands.call(
      peer,
      command.name,
      { cluster, sealed },
      command.result,
      { timeoutMs: CALL_TIMEOUT_MS },
    );
  }

  async #sayGoodbye(layers?: LayersOf): Promise<void> {
    const goodbyes = await this.#own.release(layers);
    this.#changed();
    await Promise.allSettled(goodbyes.map((record) => this.#spread(record)));
  }

  #scheduleRenewal(): void {
    this.#cancelRenewal = this.#clock.after(ANNOUNCEMENT.renewMs, () => {
      this.#renew().catch((error: unknown) => {
        const { code, message } = ShoalError.from(error);
        const what = `the announcement was not renewed: ${message}`;
        this.#options.events.warn("CLUSTER", what, { code });
      });
      this.#scheduleRenewal();
    });
  }

  async #renew(): Promise<void> {
    const records = await this.#own.sealAll();
    await Promise.all(
      [...this.#rendezvous].flatMap((peer) =>
        records.map((record) => this.#announceTo(peer, record)),
      ),
    );
  }

  async #pull(peer: string): Promise<void> {
    const { cluster, commands } = this.#options;
    for (let offset = 0; ;) {
      const { records, record, total } = await commands.call(
        peer,
        GET_CLUSTER.name,
        { cluster, subscribe: this.#rendezvous.has(peer), offset },
        GET_CLUSTER.result,
        { timeoutMs: CALL_TIMEOUT_MS },
      );
      for (const sealed of records) await this.#learn(sealed);
      if (record !== null) await this.#known.takePublished(record);
      offset += records.length;
      if (records.length === 0 || offset >= total) break;
    }
    this.#changed();
  }

  /** One at a time of each peer: hints may come in bursts. */
  async #pullQuietly(peer: string): Promise<void> {
    if (this.#pulling.has(peer)) return;
    this.#pulling.add(peer);
    try {
      await this.#pull(peer);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      const what = `a member's records could not be had: ${message}`;
      this.#options.events.debug("CLUSTER", what, { peer, code });
    } finally {
      this.#pulling.delete(peer);
    }
  }

  async #publishTo(rendezvous: string): Promise<void> {
    const record = this.#known.publishedSealed;
    if (record === undefined) return;
    const { cluster, commands } = this.#options;
    const answer = await commands.call(
      rendezvous,
      PUBLISH_CLUSTER.name,
      { cluster, record },
      PUBLISH_CLUSTER.result,
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    await this.#known.takePublished(answer.record);
  }

  async #learn(sealed: Sealed): Promise<void> {
    try {
      await this.#known.take(sealed);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      this.#options.events.warn("CLUSTER", message, { code });
    }
  }

  #sweep(): void {
    if (this.#known.records.expire(this.#clock.now())) this.#changed();
    this.#cancelExpiry = this.#clock.after(1_000, () => this.#sweep());
  }

  #changed(): void {
    if (this.#stopped) return;
    this.#cancelSettle ??= this.#clock.after(SETTLE_MS, () => {
      this.#cancelSettle = undefined;
      const view = this.view();
      this.#hintReady(view);
      for (const listener of this.#listeners) listener(view);
    });
  }

  /** When this node sees that the swarm is ready, whom it announces to should see it too. */
  #hintReady(view: ClusterView | undefined): void {
    const ready = view?.ready === true;
    const became = ready && !this.#wasReady;
    this.#wasReady = ready;
    if (!became) return;
    const { cluster, commands } = this.#options;
    const members = this.announcements().length;
    const params = { cluster, manifest: view.manifest, members };
    for (const peer of this.#rendezvous) {
      commands
        .call(peer, SWARM_READY.name, params, SWARM_READY.result, {
          timeoutMs: CALL_TIMEOUT_MS,
        })
        .then(
          (seen) => {
            if (!seen.ready) void this.#pullQuietly(peer);
          },
          () => {}, // a hint: the records themselves are on their way
        );
    }
  }
}
