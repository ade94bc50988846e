/** Gossip over real connections: verifies incoming records and sends GOSSIP commands. */
import {
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import type { Announcement } from "./announcement.ts";
import { Gossip } from "./gossip.ts";
import { emptyMessage, type GossipMessage } from "./gossip-message.ts";
import { decodeGossip, encodeGossip, type GossipWire } from "./gossip-wire.ts";
import type { KnownCluster, Taken } from "./known-cluster.ts";
import { LOST, LostMembers } from "./lost-members.ts";
import { MeshLink } from "./mesh-link.ts";
import { GOSSIP_COMMAND, SHARD_LOADED } from "./protocol.ts";
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
  /** Unanswered messages to one neighbour. Above this they are dropped; the exchange of everything repairs it. */
  inFlight: 16,
});

export class GossipLink {
  readonly #options: GossipLinkOptions;
  readonly #gossip: Gossip;
  readonly #connected = new Set<string>();
  readonly #inFlight = new Map<string, number>();
  /** Undefined if it waits for the connections of others. */
  readonly #mesh: MeshLink | undefined;
  /** Members whose connection was lost, which are searched for. */
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
  }

  /** `peer` is in this cluster too: it joined here, or this node there. */
  addNeighbour(peer: string): void {
    if (!this.#connected.has(peer)) return;
    if (this.#isAlone()) this.#missing.hurry(this.#now());
    this.#gossip.connected(peer, this.#now());
    this.#flush();
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

  /** A record came by another command. `pushed`: nobody had asked for it. */
  learned(taken: Taken, from: string, pushed: boolean): void {
    this.#learned(taken, from, pushed);
    this.#flush();
  }

  /** Once everything sent so far is answered or abandoned. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#sending);
  }

  /** The cluster's record changed. */
  published(except: string): void {
    for (const peer of this.#gossip.neighbours)
      if (peer !== except) void this.#send(peer, EMPTY, true);
  }

  /** Handles a neighbour's GOSSIP; the answer is what there is to say back at once. Throws COMMAND_MALFORMED. */
  async receive(from: string, wire: GossipWire): Promise<GossipWire> {
    if (this.#connected.has(from)) this.#gossip.connected(from, this.#now());
    await this.#absorb(from, wire);
    const answers = this.#gossip.drain();
    const index = answers.findIndex(({ to }) => to === from);
    const [answer] = index === -1 ? [] : answers.splice(index, 1);
    this.#sendAll(answers);
    return this.#encode(answer?.message ?? EMPTY, false);
  }

  async #absorb(from: string, wire: GossipWire): Promise<void> {
    const { known, events, onChanged } = this.#options;
    const message = decodeGossip(wire);
    for (const passed of wire.records) {
      try {
        this.#learned(await known.takePassed(passed), from, true);
      } catch (error) {
        const { code, message: why } = ShoalError.from(error);
        events.warn("CLUSTER", why, { peer: from, code });
      }
    }
    if (wire.record !== null) {
      const isNews = await known.takePublished(wire.record);
      if (isNews) this.published(from);
      if (isNews) onChanged(true);
    }
    this.#gossip.receive(from, message, this.#now());
    const above = this.#gossip.takeRefutation();
    if (above !== undefined) this.#options.onRefute(above);
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
      const sending = this.#send(to, message, message.sync);
      this.#sending.add(sending);
      void sending.finally(() => this.#sending.delete(sending));
    }
  }

  async #send(
    to: string,
    message: GossipMessage,
    withRecord: boolean,
  ): Promise<void> {
    const { commands, known } = this.#options;
    const waiting = this.#inFlight.get(to) ?? 0;
    // Not to a peer that would have to be dialled: a lost peer is suspect.
    if (!this.#connected.has(to) || waiting >= LINK.inFlight) return;
    this.#inFlight.set(to, waiting + 1);
    try {
      const cluster = known.name;
      const options = { timeoutMs: LINK.callMs };
      const loaded = this.#ownLoaded(message);
      if (loaded !== undefined) {
        const { name, result } = SHARD_LOADED;
        const params = { cluster, sealed: loaded.sealed };
        const askedMs = this.#now();
        const said = await commands.call(to, name, params, result, options);
        known.heardClock(to, said.nowMs, this.#now() - askedMs);
        return;
      }
      const wire = this.#encode(message, withRecord);
      const { name, result } = GOSSIP_COMMAND;
      const answer = await commands.call(
        to,
        name,
        { cluster, ...wire },
        result,
        options,
      );
      if (this.#stopped) return;
      await this.#absorb(to, answer);
      this.#flush();
    } catch (error) {
      this.#onRefused(to, error);
    } finally {
      const rest = (this.#inFlight.get(to) ?? 1) - 1;
      if (rest === 0) this.#inFlight.delete(to);
      else this.#inFlight.set(to, rest);
    }
  }

  /** A loaded shard of this node has its own command. */
  #ownLoaded({
    records,
    news,
    have,
    want,
    suspects,
  }: GossipMessage): HolderRecord | undefined {
    const [record] = records;
    const rest = [news, have, want, suspects, records.slice(1)];
    if (record === undefined || rest.some((list) => list.length > 0))
      return undefined;
    const { peer, state } = record.announcement;
    const isOwn = peer === this.#options.host.peerId;
    return isOwn && state === "ready" ? record : undefined;
  }

  #onRefused(peer: string, error: unknown): void {
    if (
      isShoalError(
        error,
        "COMMAND_UNKNOWN",
        "CLUSTER_UNKNOWN",
        "PROTOCOL_UNSUPPORTED",
      )
    ) {
      this.#gossip.forget(peer);
    }
    const { code, message } = ShoalError.from(error);
    this.#options.events.debug(
      "CLUSTER",
      `a neighbour did not accept a gossip message: ${message}`,
      { peer, code },
    );
  }

  #encode(message: GossipMessage, withRecord: boolean): GossipWire {
    const record = this.#options.known.publishedSealed;
    const told = withRecord ? (record ?? null) : null;
    return encodeGossip(message, told, this.#now());
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

const EMPTY = emptyMessage();
