/**
 * A member's side: announces what this node holds (again before it expires, and at once when it changes), learns of the others
 * through the rendezvous, and computes the view. A gateway is a member that announces nothing.
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
  seal,
  type Sealed,
  unseal,
} from "./announcement.ts";
import {
  ANNOUNCE,
  CLUSTER_CHANGED,
  GET_CLUSTER,
  PUBLISH_CLUSTER,
} from "./protocol.ts";
import {
  type ClusterRecord,
  supersedes,
  unsealClusterRecord,
} from "./cluster-record.ts";
import { ClusterRecords } from "./records.ts";
import { type ClusterView, clusterView } from "./view.ts";

export interface MembershipOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  cluster: string;
  clock?: Clock;
}

/** What this node says of itself; identity, numbers and times are added here. */
export type OwnState = Omit<
  Announcement,
  "v" | "cluster" | "peer" | "addresses" | "seq" | "issuedMs" | "ttlMs"
>;

const CALL_TIMEOUT_MS = 5_000;
/** A view changes in bursts at start-up; listeners hear of the last state of a burst. */
const SETTLE_MS = 20;

export class Membership {
  #options: MembershipOptions;
  #clock: Clock;
  #records = new ClusterRecords();
  #own: OwnState | undefined;
  #published: { record: ClusterRecord; sealed: Sealed } | undefined;
  /** Starts at the clock, so that it grows over restarts. */
  #seq: number;
  #rendezvous = new Set<string>();
  #listeners = new Set<(view: ClusterView | undefined) => void>();
  #cancelRenewal: (() => void) | undefined;
  #cancelSettle: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#seq = this.#clock.now();
  }

  start(): void {
    const { commands, host } = this.#options;
    commands.handle(
      CLUSTER_CHANGED.name,
      CLUSTER_CHANGED.params,
      async (change, { peer }) => {
        if (
          !this.#rendezvous.has(peer) ||
          change.cluster !== this.#options.cluster
        ) {
          throw new ShoalError(
            "COMMAND_UNAUTHORIZED",
            "not a rendezvous of this node",
          );
        }
        for (const sealed of change.records) await this.#learn(sealed);
        for (const gone of change.gone)
          if (gone !== host.peerId) this.#records.removePeer(gone);
        if (change.record !== null) await this.#learnPublished(change.record);
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
      if (this.#records.removePeer(peer)) this.#changed();
    });
    this.#sweep();
  }

  /** Joins through a rendezvous that was just connected: announces, asks who is there, subscribes. Returns the members known. */
  async join(rendezvous: string): Promise<number> {
    this.#rendezvous.add(rendezvous);
    await this.#announceTo(rendezvous);
    await this.#publishTo(rendezvous);
    const { cluster, commands } = this.#options;
    for (let offset = 0; ;) {
      const params = { cluster, subscribe: true, offset };
      const options = { timeoutMs: CALL_TIMEOUT_MS };
      const result = await commands.call(
        rendezvous,
        GET_CLUSTER.name,
        params,
        GET_CLUSTER.result,
        options,
      );
      for (const sealed of result.records) await this.#learn(sealed);
      if (result.record !== null) await this.#learnPublished(result.record);
      offset += result.records.length;
      if (result.records.length === 0 || offset >= result.total) break;
    }
    this.#changed();
    return this.announcements().length;
  }

  /** Says this of the node from now on. Resolves when every rendezvous has confirmed it, or rejects with the first refusal. */
  async announce(own: OwnState): Promise<void> {
    this.#own = own;
    this.#changed();
    await this.#renew();
  }

  /** Says goodbye. Never rejects: who does not hear it will notice. */
  async leave(): Promise<void> {
    if (this.#own === undefined) return;
    this.#own = { ...this.#own, state: "gone" };
    this.#cancelRenewal?.();
    await Promise.allSettled(
      [...this.#rendezvous].map((peer) => this.#announceTo(peer)),
    );
    this.#own = undefined;
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#cancelRenewal?.();
    this.#cancelSettle?.();
    this.#cancelExpiry?.();
  }

  /** All live announcements, this node's own among them: a node counts itself. */
  announcements(): Announcement[] {
    const now = this.#clock.now();
    const others = this.#records.list(now).map((record) => record.announcement);
    const own =
      this.#own === undefined || this.#own.state === "gone"
        ? []
        : [this.#complete(this.#own)];
    return [
      ...own,
      ...others.filter((a) => a.peer !== this.#options.host.peerId),
    ];
  }

  view(): ClusterView | undefined {
    return clusterView(this.announcements());
  }

  /** Hears every change of the view, and the present one at once. Returns the function that unsubscribes. */
  onChange(listener: (view: ClusterView | undefined) => void): () => void {
    this.#listeners.add(listener);
    listener(this.view());
    return () => this.#listeners.delete(listener);
  }

  async #renew(): Promise<void> {
    this.#cancelRenewal?.();
    this.#cancelRenewal = this.#clock.after(ANNOUNCEMENT.renewMs, () => {
      this.#renew().catch((error: unknown) => {
        const { code, message } = ShoalError.from(error);
        this.#options.events.warn(
          "CLUSTER",
          `the announcement was not renewed: ${message}`,
          { code },
        );
      });
    });
    await Promise.all(
      [...this.#rendezvous].map((peer) => this.#announceTo(peer)),
    );
  }

  async #announceTo(rendezvous: string): Promise<void> {
    if (this.#own === undefined) return;
    const { cluster, commands, host } = this.#options;
    const sealed = await seal(this.#complete(this.#own), (data) =>
      host.sign(data),
    );
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    await commands.call(
      rendezvous,
      ANNOUNCE.name,
      { cluster, sealed },
      ANNOUNCE.result,
      options,
    );
  }

  #complete(own: OwnState): Announcement {
    const { host, cluster } = this.#options;
    const now = this.#clock.now();
    this.#seq = Math.max(this.#seq + 1, now);
    const addresses = host.addresses().slice(0, 16);
    return {
      ...own,
      v: 1,
      cluster,
      peer: host.peerId,
      addresses,
      seq: this.#seq,
      issuedMs: now,
      ttlMs: ANNOUNCEMENT.ttlMs,
    };
  }

  /** What the cluster serves, by its own signed word; undefined while nobody published it. */
  published(): ClusterRecord | undefined {
    return this.#published?.record;
  }

  /** Publishes the cluster's record here and at every rendezvous; again at each that comes back without it. */
  async publish(sealed: Sealed): Promise<void> {
    await this.#learnPublished(sealed);
    await Promise.all(
      [...this.#rendezvous].map((peer) => this.#publishTo(peer)),
    );
  }

  async #publishTo(rendezvous: string): Promise<void> {
    if (this.#published === undefined) return;
    const { cluster, commands } = this.#options;
    const params = { cluster, record: this.#published.sealed };
    const { record } = await commands.call(
      rendezvous,
      PUBLISH_CLUSTER.name,
      params,
      PUBLISH_CLUSTER.result,
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    await this.#learnPublished(record);
  }

  async #learnPublished(sealed: Sealed): Promise<void> {
    const record = await unsealClusterRecord(sealed);
    if (record.cluster !== this.#options.cluster) return;
    if (supersedes(record, this.#published?.record))
      this.#published = { record, sealed };
  }

  async #learn(sealed: Parameters<typeof unseal>[0]): Promise<void> {
    try {
      const announcement = await unseal(sealed, this.#clock.now());
      if (
        announcement.cluster !== this.#options.cluster ||
        announcement.peer === this.#options.host.peerId
      )
        return;
      this.#records.put({ announcement, sealed });
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      this.#options.events.warn("CLUSTER", message, { code });
    }
  }

  #sweep(): void {
    if (this.#records.expire(this.#clock.now())) this.#changed();
    this.#cancelExpiry = this.#clock.after(1_000, () => this.#sweep());
  }

  #changed(): void {
    this.#cancelSettle ??= this.#clock.after(SETTLE_MS, () => {
      this.#cancelSettle = undefined;
      const view = this.view();
      for (const listener of this.#listeners) listener(view);
    });
  }
}
