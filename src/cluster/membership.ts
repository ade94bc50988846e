/**
 * A member's side: announces this node's shards (again before they expire, and at once after changes), learns about others through the
 * rendezvous or any member, answers requests, and computes the view. A gateway is a member that holds nothing.
 */
import { type Clock, ShoalError, steadyClock } from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Sealed,
} from "./announcement.ts";
import type { ServedCluster } from "./cluster-commands.ts";
import type { ClusterRecord } from "./cluster-record.ts";
import { ClocksWatch } from "./clocks-watch.ts";
import { GossipLink } from "./gossip-link.ts";
import { KnownCluster } from "./known-cluster.ts";
import { TimesWatch } from "./times-watch.ts";
import { serveLoadShard } from "./node-commands.ts";
import type { MembershipOptions } from "./membership-options.ts";
import { Presence } from "./presence.ts";
import { ReadyHint } from "./ready-hint.ts";
import { type LayersOf, OwnShards, type OwnState } from "./own-shards.ts";
import type { HolderRecord } from "./records.ts";
import { RendezvousLink } from "./rendezvous-link.ts";
import type { ClusterStatus } from "../status/index.ts";
import type { PlanOf } from "./cluster-status.ts";
import { type ClusterView, clusterView } from "./view.ts";

/** A view changes in bursts at start-up; listeners get the last state of a burst. */
const SETTLE_MS = 20;
/** In a large cluster somebody renews all the time; times and loads need not be newer than this. */
const SETTLE_RENEWALS_MS = 1_000;
/** Neighbours and each rendezvous have this long to accept a goodbye, because people wait for it. */
const GOODBYE_MS = 1_000;
/** Every third renewal a rendezvous hears the whole: it answers what its clock says. */
const RENEWALS_PER_TELLING = 3;
/** Members that joined together do not renew together. */
const RENEW_JITTER = 0.1;

export class Membership {
  #options: MembershipOptions;
  #clock: Clock;
  #random: () => number;
  #known: KnownCluster;
  #own: OwnShards;
  #link: GossipLink;
  #timesWatch: TimesWatch;
  #clocksWatch: ClocksWatch;
  #rendezvous: RendezvousLink;
  #hint: ReadyHint;
  #presence: Presence;
  #leave: (() => void) | undefined;
  #listeners = new Set<(view: ClusterView | undefined) => void>();
  #cancelRenewal: (() => void) | undefined;
  #cancelSettle: (() => void) | undefined;
  #settlesMs = 0;
  #renewals = 0;
  #cancelExpiry: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #forgetAddresses: (() => void) | undefined;
  #stopped = false;

  constructor(options: MembershipOptions) {
    const { host, commands, events, cluster, capacity } = options;
    const { clock = steadyClock, random = Math.random } = options;
    const { wallMs = Date.now } = options;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#own = new OwnShards({
      host,
      cluster,
      clock,
      wallMs,
      capacity,
      relays: options.relays,
      layersOf: (peer) =>
        this.#known.records.of(peer).map(({ announcement }) => announcement),
    });
    this.#presence = options.presence ?? new Presence(options);
    this.#known = new KnownCluster({
      name: cluster,
      ownPeer: host.peerId,
      clock,
      wallMs,
      rivalOf: (announcement) => this.#presence.checks.rivalOf(announcement),
      own: {
        knows: (announcement) => this.#own.knows(announcement),
        contradict: (announcement) => {
          this.#sealAndTell(async () => {
            const record = await this.#own.contradict(announcement);
            return record === undefined ? [] : [record];
          });
        },
      },
    });
    this.#clocksWatch = new ClocksWatch(this.#known, events);
    this.#rendezvous = new RendezvousLink({
      commands,
      events,
      clock,
      known: this.#known,
      onLearned: (taken, from) => this.#link.learned(taken, from, false),
      onPulled: () => this.#changed(),
    });
    this.#link = new GossipLink({
      host,
      commands,
      events,
      clock,
      random,
      known: this.#known,
      own: () => this.#own.records(),
      isWitness: () => this.#own.records().length > 0,
      isRendezvous: (peer) => this.#rendezvous.has(peer),
      dials: true,
      onDialled: (peer) => this.#presence.identity.checkLater(peer),
      onChanged: (isNews) => this.#changed(isNews),
      onRefute: (above) => this.#sealAndTell(() => this.#own.sealAll(above)),
    });
    this.#hint = new ReadyHint({
      commands,
      cluster,
      hear: () => [...this.#rendezvous.peers, ...this.#link.neighbours],
      members: () => this.announcements().length,
      onOtherView: (peer) => void this.#rendezvous.pullQuietly(peer),
    });
    this.#timesWatch = new TimesWatch({
      host,
      clock,
      links: () => this.#own.linksToHolders(),
      haveChanged: () => this.#own.haveTimesChanged(),
      announce: () => this.#renewNow(),
    });
  }

  get cluster(): string {
    return this.#options.cluster;
  }

  start(): void {
    const { commands, host, cluster, onLoadShard } = this.#options;
    const served: ServedCluster = {
      known: this.#known,
      own: () => this.#own.records(),
      ownAnnouncements: () => this.#own.announcements(),
      onTaken: (taken, from) => this.#link.learned(taken, from, true),
      onPublished: (_, from) => {
        this.#link.published(from);
        this.#changed();
      },
      subscribe: (peer) => this.#link.addNeighbour(peer),
      gossip: (from, message) => this.#link.receive(from, message),
      pull: (peer) => void this.#rendezvous.pullQuietly(peer),
    };
    this.#presence.start();
    this.#leave = this.#presence.enter(served, (error) => {
      this.stop();
      this.#options.onIdentityTaken?.(error);
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
    this.#unsubscribe = host.onPeer(({ type, peer }) => {
      if (type === "disconnected" && !isConnected(host, peer))
        this.#rendezvous.delete(peer);
    });
    this.#forgetAddresses = host.onAddresses(() => this.#renewNow(true));
    this.#link.start();
    this.#timesWatch.start();
    this.#sweep();
    this.#scheduleRenewal();
  }

  stop(): void {
    this.#stopped = true;
    this.#leave?.();
    this.#link.stop();
    this.#timesWatch.stop();
    this.#unsubscribe?.();
    this.#forgetAddresses?.();
    this.#cancelRenewal?.();
    this.#cancelSettle?.();
    this.#cancelExpiry?.();
  }

  /**
   * Joins through a newly connected rendezvous or member: announces, asks for the members, subscribes. Returns the known members. Throws
   * IDENTITY_IN_USE, before anything is announced.
   */
  async join(through: string): Promise<number> {
    await this.#presence.identity.check(through);
    this.#rendezvous.add(through);
    const records = await this.#own.sealAll();
    await Promise.all(
      records.map((record) => this.#rendezvous.announceTo(through, record)),
    );
    // All have the same: who is lost later is lost with its last word.
    for (const record of records)
      this.#link.announced(record, false, new Set([through]));
    await this.#rendezvous.publishTo(through);
    await this.#rendezvous.pull(through);
    this.#link.addNeighbour(through);
    return this.announcements().length;
  }

  /**
   * Announces a shard from now on, or announces its new state. `say` is called now and at each renewal, so that sessions, speed and
   * progress are current. Resolves when every reachable rendezvous has confirmed it, or rejects with the first refusal.
   */
  async hold(say: () => OwnState): Promise<void> {
    const held = this.#own.hold(say);
    const before = held.record?.announcement;
    this.#changed();
    const record = await this.#own.seal(held);
    if (record === undefined) return;
    const { state, manifest } = record.announcement;
    const isNews = before?.state !== state || before.manifest !== manifest;
    await this.#spread(record, isNews);
  }

  /** Says goodbye for one shard, or all. Never rejects: a member that does not hear it will notice. */
  async release(layers?: LayersOf): Promise<void> {
    const goodbyes = await this.#own.release(layers);
    this.#changed();
    await Promise.allSettled(
      goodbyes.map((record) => this.#spread(record, true)),
    );
  }

  /** Says goodbye for all shards. Never rejects: a member that does not hear it will notice. */
  async leave(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#clock.after(GOODBYE_MS, late.resolve);
    const heard = this.release().then(() => this.#link.settled());
    await Promise.race([heard, late.promise]);
    cancel();
  }

  /** Connected peers that are in this cluster, also those that hold nothing, and each rendezvous. */
  neighbours(): string[] {
    return this.#link.neighbours;
  }

  /** It is a neighbour, or a member by its records: joining through it would tell nothing new. */
  knows(peer: string): boolean {
    return this.#link.isMember(peer);
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
    return clusterView(this.announcements(), this.published());
  }

  /** The cluster as this node sees it, for people. */
  status(planOf?: PlanOf): ClusterStatus {
    return this.#known.status(this.#own.announcements(), planOf);
  }

  /** Called with every change of the view, and with the current one at once. Returns the function that unsubscribes. */
  onChange(listener: (view: ClusterView | undefined) => void): () => void {
    this.#listeners.add(listener);
    listener(this.view());
    return () => this.#listeners.delete(listener);
  }

  /** The cluster's signed record; undefined until published. */
  published(): ClusterRecord | undefined {
    return this.#known.published;
  }

  /** This node's current announcements, sealed; the neighbours get them too. */
  async sealed(): Promise<Sealed[]> {
    const records = await this.#own.sealAll();
    for (const record of records) this.#link.announced(record, false);
    return records.map(({ sealed }) => sealed);
  }

  /** The sealed cluster record. */
  publishedSealed(): Sealed | undefined {
    return this.#known.publishedSealed;
  }

  /** Publishes the cluster's record here and at every rendezvous; again at each that comes back without it. */
  async publish(sealed: Sealed): Promise<void> {
    if (await this.#known.takePublished(sealed)) {
      this.#link.published("");
      this.#changed();
    }
    await this.#rendezvous.publish();
  }

  /** Tells the neighbours and every rendezvous, which confirms it. */
  async #spread(record: HolderRecord, isNews: boolean): Promise<void> {
    if (this.#presence.identity.isTaken) return; // the other speaks
    const told = new Set(this.#rendezvous.peers);
    this.#link.announced(record, isNews, told);
    await this.#rendezvous.announce(record);
  }

  /** Caused by what others say about this node; nobody waits for it. */
  #sealAndTell(make: () => Promise<HolderRecord[]>): void {
    make().then(
      (records) => {
        if (this.#stopped) return;
        for (const record of records) this.#link.announced(record, true);
      },
      (error: unknown) => {
        const { code, message } = ShoalError.from(error);
        const what = `could not make a newer announcement: ${message}`;
        this.#options.events.error("CLUSTER", what, { code });
      },
    );
  }

  #scheduleRenewal(): void {
    const { renewMs } = ANNOUNCEMENT;
    const waitMs = renewMs * (1 - RENEW_JITTER * this.#random());
    this.#cancelRenewal = this.#clock.after(waitMs, () => this.#renewNow());
  }

  #renewNow(isNews = false): void {
    this.#cancelRenewal?.();
    this.#renew(isNews).catch((error: unknown) => {
      const { code, message } = ShoalError.from(error);
      const what = `the announcement was not renewed: ${message}`;
      this.#options.events.warn("CLUSTER", what, { code });
    });
    this.#scheduleRenewal();
  }

  async #renew(isNews: boolean): Promise<void> {
    const again = await this.#own.again();
    if (this.#presence.identity.isTaken) return; // the other speaks
    const tells = this.#renewals++ % RENEWALS_PER_TELLING === 0;
    await Promise.all(
      again.map(async ({ record, isRenewal }) => {
        if (!isRenewal) return await this.#spread(record, isNews);
        this.#link.renewed(record);
        if (tells) await this.#rendezvous.announce(record);
      }),
    );
  }

  #sweep(): void {
    if (this.#known.records.expire(this.#clock.now())) this.#changed();
    this.#clocksWatch.look();
    this.#cancelExpiry = this.#clock.after(1_000, () => this.#sweep());
  }

  #changed(isNews = true): void {
    if (this.#stopped) return;
    const waitMs = isNews ? SETTLE_MS : SETTLE_RENEWALS_MS;
    const dueMs = this.#clock.now() + waitMs;
    if (this.#cancelSettle !== undefined && this.#settlesMs <= dueMs) return;
    this.#cancelSettle?.();
    this.#settlesMs = dueMs;
    this.#cancelSettle = this.#clock.after(waitMs, () => {
      this.#cancelSettle = undefined;
      const view = this.view();
      this.#hint.look(view);
      for (const listener of this.#listeners) listener(view);
    });
  }
}

function isConnected(host: Host, peer: string): boolean {
  return host.connections().some((connection) => connection.peer === peer);
}
