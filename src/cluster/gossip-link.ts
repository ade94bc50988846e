/** Gossip over real connections: verifies incoming records, sends messages over a stream to each neighbour. */
import {
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import type { Announcement, Passed } from "./announcement.ts";
import { Gossip } from "./gossip.ts";
import { emptyMessage, type GossipMessage, isEmpty } from "./gossip-message.ts";
import { GossipStreams } from "./gossip-streams.ts";
import { decodeGossip, encodeGossip, type ReadGossip } from "./gossip-wire.ts";
import type { KnownCluster, Taken } from "./known-cluster.ts";
import { LOST, LostMembers } from "./lost-members.ts";
import { MeshLink } from "./mesh-link.ts";
import { ANNOUNCE, SHARD_LOADED } from "./protocol.ts";
import type { HolderRecord } from "./records.ts";

export interface GossipLinkOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  clock: Clock;
  known: KnownCluster;
  /** This process's announcements, as last sealed. */
  own: () => readonly HolderRecord[];
  isWitness: () => boolean;
  /** A neighbour that may suspect others although it holds nothing: our rendezvous. */
  isRendezvous: (peer: string) => boolean;
  /** Keep connections to members. A rendezvous waits for theirs. */
  dials: boolean;
  /** A member was dialled. */
  onDialled?: (peer: string) => void;
  /** The records changed; `isNews` if more than their time and load changed. */
  onChanged: (isNews: boolean) => void;
  /** A record came by gossip. */
  onTaken?: (taken: Taken) => void;
  /** A member's records were dropped because its connection was lost. */
  onLost?: (peer: string) => void;
  /** Others take this node for dead: seal anew, with numbers above this, and announce. */
  onRefute: (above: number) => void;
  random?: () => number;
}

const LINK = Object.freeze({
  /** While a cluster is quiet, waking up costs more than the work itself. */
  tickMs: 1_000,
  urgentTickMs: 100,
  callMs: 5_000,
  /** Unanswered commands to one neighbour. Above this it hears by gossip, unconfirmed. */
  inFlight: 16,
});

export class GossipLink {
  readonly #options: GossipLinkOptions;
  readonly #gossip: Gossip;
  readonly #streams: GossipStreams;
  readonly #connected = new Set<string>();
  readonly #inFlight = new Map<string, number>();
  /** Undefined if it waits for the connections of others. */
  readonly #mesh: MeshLink | undefined;
  /** Members that were lost, and are searched for. */
  readonly #missing: LostMembers;
  readonly #sending = new Set<Promise<void>>();
  #cancelTick: (() => void) | undefined;
  #tickIsUrgent = false;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: GossipLinkOptions) {
    this.#options = options;
    const { host, known, own, isWitness, isRendezvous } = options;
    const { events, clock, dials, random = Math.random } = options;
    if (dials)
      this.#mesh = new MeshLink({
        host,
        events,
        clock,
        random,
        records: known.records,
        isConnected: (peer) => this.#connected.has(peer),
        onConnected: (peer) => {
          this.addNeighbour(peer);
          options.onDialled?.(peer);
        },
      });
    this.#missing = new LostMembers({
      random,
      dial: ({ peer, addresses }) => {
        const target = { peerId: peer, addresses: [...addresses] };
        return host.connect(target, { timeoutMs: LOST.dialMs });
      },
    });
    this.#streams = new GossipStreams({
      host,
      cluster: known.name,
      onRefused: (peer, error) => this.#onRefused(peer, error),
      onForeign: (peer) => this.#gossip.forget(peer),
      onBroken: (peer) => this.#exchangeAgain(peer),
    });
    this.#gossip = new Gossip({
      self: host.peerId,
      records: known.records,
      refusals: known.refusals,
      own,
      isWitness,
      mayAccuse: (peer) =>
        isRendezvous(peer) || known.records.of(peer).length > 0,
      random,
    });
  }

  get neighbours(): string[] {
    return this.#gossip.neighbours;
  }

  /** It holds something, or gossips as one that holds nothing. */
  isMember(peer: string): boolean {
    return this.#isMember(peer) || this.neighbours.includes(peer);
  }

  start(): void {
    const { host } = this.#options;
    for (const { peer } of host.connections()) this.#connected.add(peer);
    this.#unsubscribe = host.onPeer(({ type, peer }) => {
      if (type === "connected") {
        this.#connected.add(peer);
        const isBack = this.#missing.found(peer, this.#now());
        if (isBack || this.#isMember(peer)) this.addNeighbour(peer);
      } else if (!host.connections().some((c) => c.peer === peer)) {
        this.#connected.delete(peer);
        this.#streams.close(peer);
        this.#onLost(peer);
      }
    });
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancelTick?.();
    this.#mesh?.stop();
    this.#streams.stop();
  }

  /** `peer` is in this cluster too: it joined here, or this node there. */
  addNeighbour(peer: string): void {
    if (!this.#connected.has(peer)) return;
    if (this.#isAlone()) this.#missing.hurry(this.#now());
    this.#gossip.connected(peer, this.#now());
    this.#flush();
  }

  /** Over another connection: of two with a neighbour that moved, the older one is dead. */
  #exchangeAgain(peer: string): void {
    if (this.#stopped || !this.#gossip.has(peer)) return;
    this.#gossip.forget(peer);
    this.addNeighbour(peer);
  }

  /** This node sealed a record. `told` have it already. */
  announced(
    record: HolderRecord,
    isNews: boolean,
    told?: ReadonlySet<string>,
  ): void {
    this.#gossip.announced(record, isNews, this.#now(), told);
    this.#flush();
  }

  /** This node renewed a record of its own. */
  renewed(record: HolderRecord): void {
    this.#gossip.renewed(record);
    this.#flush();
  }

  /** A record came by another command. `pushed`: nobody had asked for it. */
  learned(taken: Taken, from: string, pushed: boolean): void {
    this.#learned(taken, from, pushed);
    this.#flush();
  }

  /** Once everything that has to be confirmed is, or is abandoned. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#sending);
  }

  /** The cluster's record changed. */
  published(except: string): void {
    for (const peer of this.#gossip.neighbours)
      if (peer !== except) this.#send(peer, emptyMessage(), true);
  }

  /** Handles a neighbour's message. Throws COMMAND_MALFORMED. */
  async receive(from: string, bytes: Uint8Array): Promise<void> {
    if (this.#stopped) return;
    if (this.#connected.has(from)) this.#gossip.connected(from, this.#now());
    const read = decodeGossip(bytes, this.#now());
    await this.#absorbRecords(from, read);
    const { known, onChanged, onRefute } = this.#options;
    const { published } = read;
    if (published !== undefined && (await known.takePublished(published))) {
      this.published(from);
      onChanged(true);
    }
    this.#gossip.receive(from, read.message, this.#now());
    if (read.message.renewals.length > 0) onChanged(false);
    const above = this.#gossip.takeRefutation();
    if (above !== undefined) onRefute(above);
    this.#flush();
  }

  async #absorbRecords(from: string, read: ReadGossip): Promise<void> {
    const { known, events } = this.#options;
    const { records, changes, message } = read;
    const take = async (passed: () => Passed): Promise<void> => {
      try {
        this.#learned(await known.takePassed(passed()), from, true);
      } catch (error) {
        const { code, message: why } = ShoalError.from(error);
        events.warn("CLUSTER", why, { peer: from, code });
      }
    };
    for (const passed of records) await take(() => passed);
    for (const change of changes) {
      const { id, seq, base, on } = change;
      const record = known.records.get(id);
      if (record?.announcement.seq === base)
        await take(() => on(record.sealed));
      // What it replaces is not known here: the whole is news.
      else message.news.push({ id, seq });
    }
  }

  #learned(taken: Taken, from: string, pushed: boolean): void {
    const { known, host, onChanged, onTaken } = this.#options;
    const { announcement, record, outcome } = taken;
    const { peer } = announcement;
    if (peer === host.peerId) return;
    if (outcome !== "stale") host.seenAs.heard(peer, announcement.seenAs);
    if (outcome === "new" && this.#isInDoubt(announcement)) return;
    this.#gossip.learned(record, outcome, from, this.#now(), pushed);
    if (outcome === "stale") return;
    if (announcement.state === "gone") {
      known.records.expire(this.#now());
      this.#missing.forget(peer);
    } else if (this.#connected.has(peer))
      this.#gossip.connected(peer, this.#now());
    if (from !== host.peerId) onTaken?.(taken);
    onChanged(outcome !== "renewed");
  }

  /**
   * A member that was just lost here, of which somebody else has a newer record: either it lives, or it sent the record before it died and
   * some heard it later. A connection will show. Until then it counts as dead, up to this record; a living member seals another when it
   * hears of that.
   */
  #isInDoubt({ peer, seq, state, addresses }: Announcement): boolean {
    if (state === "gone" || this.#mesh?.doubts(peer) !== true) return false;
    this.#options.known.records.removePeer(peer, seq);
    void this.#mesh.look(peer, addresses);
    return true;
  }

  #onLost(peer: string): void {
    // Others' suspicion may have dropped it before its connection ended here.
    const addresses = this.#options.known.records.addressesOf(peer);
    if (this.#mesh !== undefined && addresses !== undefined)
      this.#missing.add({ peer, addresses }, this.#now());
    const wasMember = this.#drop(peer);
    this.#mesh?.lost(peer, wasMember);
    this.#tickSoon();
  }

  /** Drops its records here, and suspects it towards others. */
  #drop(peer: string): boolean {
    const { onLost, onChanged } = this.#options;
    const dropped = this.#gossip.disconnected(peer, this.#now());
    if (dropped) {
      onLost?.(peer);
      onChanged(true);
    }
    this.#flush();
    return dropped;
  }

  #tick(): void {
    this.#cancelTick = undefined;
    if (this.#gossip.tick(this.#now())) this.#options.onChanged(true);
    this.#mesh?.tick();
    this.#missing.tick(this.#now(), this.#isAlone());
    this.#flush();
    if (this.#cancelTick === undefined) this.#tickAfter(false);
  }

  #tickAfter(isUrgent: boolean): void {
    if (this.#stopped) return;
    const { clock } = this.#options;
    const waitMs = isUrgent ? LINK.urgentTickMs : LINK.tickMs;
    this.#cancelTick?.();
    this.#tickIsUrgent = isUrgent;
    this.#cancelTick = clock.after(waitMs, () => this.#tick());
  }

  #flush(): void {
    if (this.#stopped) return;
    this.#sendAll(this.#gossip.drain());
    if (this.#gossip.isUrgent(this.#now())) this.#tickSoon();
  }

  /** A pending message is not postponed again, or many losses in a row would postpone it for ever. */
  #tickSoon(): void {
    const waits = this.#cancelTick !== undefined && this.#tickIsUrgent;
    if (!waits) this.#tickAfter(true);
  }

  #sendAll(messages: readonly { to: string; message: GossipMessage }[]): void {
    for (const { to, message } of messages) {
      const own = this.#ownNews(message);
      const waiting = this.#inFlight.get(to) ?? 0;
      if (own === undefined || waiting >= LINK.inFlight)
        this.#send(to, message, message.sync !== undefined);
      else this.#tell(to, own);
    }
  }

  #send(to: string, message: GossipMessage, withRecord: boolean): void {
    // Not to a peer that would have to be dialled: a lost peer is suspect.
    if (this.#stopped || !this.#connected.has(to)) return;
    const { publishedSealed } = this.#options.known;
    const published = withRecord ? publishedSealed : undefined;
    if (isEmpty(message) && published === undefined) return;
    this.#streams.send(to, encodeGossip(message, published, this.#now()));
  }

  #tell(to: string, record: HolderRecord): void {
    const telling = this.#callWith(to, record);
    this.#sending.add(telling);
    void telling.finally(() => this.#sending.delete(telling));
  }

  /** By a command: it is confirmed, and the answer tells the time there. */
  async #callWith(to: string, record: HolderRecord): Promise<void> {
    const { sealed, announcement } = record;
    const { commands, known } = this.#options;
    if (this.#stopped || !this.#connected.has(to)) return;
    this.#inFlight.set(to, (this.#inFlight.get(to) ?? 0) + 1);
    const command = announcement.state === "ready" ? SHARD_LOADED : ANNOUNCE;
    const askedMs = this.#now();
    try {
      const { nowMs } = await commands.call(
        to,
        command.name,
        { cluster: known.name, sealed },
        command.result,
        { timeoutMs: LINK.callMs },
      );
      known.heardClock(to, nowMs, this.#now() - askedMs);
    } catch (error) {
      this.#onRefused(to, error);
    } finally {
      const rest = (this.#inFlight.get(to) ?? 1) - 1;
      if (rest === 0) this.#inFlight.delete(to);
      else this.#inFlight.set(to, rest);
    }
  }

  /** A loaded shard of this node, or its goodbye, with nothing else. */
  #ownNews(message: GossipMessage): HolderRecord | undefined {
    const { records, changes } = message;
    const [record, ...others] = [...records, ...changes];
    const rest = { ...message, records: [], changes: [] };
    if (record === undefined || others.length > 0 || !isEmpty(rest))
      return undefined;
    const { peer, state } = record.announcement;
    // A command does not tell how far it was renewed.
    const isNew = record.renewed === undefined;
    const isUrgent = state === "ready" || state === "gone";
    const isOwn = peer === this.#options.host.peerId;
    return isOwn && isNew && isUrgent ? record : undefined;
  }

  #onRefused(peer: string, error: unknown): void {
    if (
      isShoalError(
        error,
        "COMMAND_UNKNOWN",
        "CLUSTER_UNKNOWN",
        "PROTOCOL_UNSUPPORTED",
        "PROTOCOL_VERSION",
      )
    ) {
      this.#gossip.forget(peer);
    }
    const { code, message } = ShoalError.from(error);
    const what = `a neighbour did not accept a gossip message: ${message}`;
    this.#options.events.debug("CLUSTER", what, { peer, code });
  }

  #isAlone(): boolean {
    return this.#gossip.neighbours.length === 0;
  }

  #isMember(peer: string): boolean {
    return this.#options.known.records.of(peer).length > 0;
  }

  #now(): number {
    return this.#options.clock.now();
  }
}
