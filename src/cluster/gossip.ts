/**
 * Gossip as a state machine: events come in through calls, messages go out through `drain`. It has no clock, socket or signature: the
 * adapter (gossip-link.ts) has those, and the simulation (bench/simulate.ts) its own.
 *
 *     a change of state   the record at once to a few neighbours, its digest (holder, number) to all others; they ask for what they lack
 *     a renewal           a few bytes (renewal.ts) to the neighbours of its holder; each passes it on once, within a second, to two others
 *     other changes       the digest, once a second, to a few that are no neighbours of the holder: the record travels to each node once
 *     everything          a list of all records, every 10 s, with one random neighbour, and with each that was just connected
 *     a lost connection   what the lost one held is dropped here, and suspected everywhere: who does not hear a newer record within the
 *                         grace drops it, too. A suspect that lives says so with a newer record, and that always wins.
 */
import { LINKS } from "./announcement.ts";
import { GOSSIP } from "./gossip-defaults.ts";
import { answerAsk, answerList, listOf } from "./gossip-lists.ts";
import {
  type GossipMessage,
  MESSAGE_LIMITS,
  type Suspicion,
} from "./gossip-message.ts";
import { GossipNeighbours } from "./gossip-neighbours.ts";
import { GossipRenewals } from "./gossip-renewals.ts";
import {
  type ClusterRecords,
  type Digest,
  digestOf,
  type HolderRecord,
  numberOf,
  type PutOutcome,
} from "./records.ts";
import type { Refusals } from "./refusals.ts";
import { proves } from "./renewal.ts";
import { Suspects } from "./suspects.ts";

export interface GossipOptions {
  self: string;
  records: ClusterRecords;
  refusals: Refusals;
  /** This node's own announcements, as last sealed. */
  own: () => readonly HolderRecord[];
  /** Whether this process may suspect others: a member with a shard, or a rendezvous. */
  isWitness: () => boolean;
  /** Whether a neighbour may. */
  mayAccuse: (peer: string) => boolean;
  /** In [0, 1). */
  random: () => number;
  /** Of a renewal. The simulation makes none. */
  proves?: typeof proves;
}

export class Gossip {
  readonly #options: GossipOptions;
  readonly #records: ClusterRecords;
  readonly #neighbours: GossipNeighbours;
  readonly #asked = new Map<
    string,
    { seq: number; untilMs: number; fresh: boolean }
  >();
  readonly #suspects = new Suspects();
  readonly #renewals: GossipRenewals;
  /** Changes that are not urgent, and learned records, with the peers that have them already. */
  #lazy = new Map<string, { digest: Digest; told: ReadonlySet<string> }>();
  /** Changes that not every neighbour has been told of. */
  #news = new Map<string, Digest>();
  #newsDueMs: number | undefined;
  #nextLazyMs = 0;
  #nextSyncMs: number | undefined;
  #refuteAbove: number | undefined;

  constructor(options: GossipOptions) {
    const { records, refusals, random } = options;
    this.#options = options;
    this.#records = records;
    this.#neighbours = new GossipNeighbours(random);
    this.#renewals = new GossipRenewals({
      records,
      refusals,
      proves: options.proves ?? proves,
      isDirect: ({ size }) => size <= GOSSIP.promptNeighbours,
    });
  }

  get neighbours(): string[] {
    return this.#neighbours.peers;
  }

  has(peer: string): boolean {
    return this.#neighbours.has(peer);
  }

  /** A member connected: both exchange everything they have. */
  connected(peer: string, nowMs: number): void {
    if (this.#neighbours.has(peer) || peer === this.#options.self) return;
    this.#neighbours.add(peer, nowMs);
    this.#sync(peer, nowMs);
  }

  /** A member's last connection is lost. Returns whether records were dropped. */
  disconnected(peer: string, nowMs: number): boolean {
    this.forget(peer);
    const seq = newestOf(this.#records.of(peer));
    if (seq === undefined) return false;
    this.#records.removePeer(peer, seq);
    this.#suspects.add({ peer, seq }, nowMs);
    this.#tellAll({ peer, seq });
    return true;
  }

  /** It is not a member any more, or never was: forget it silently. */
  forget(peer: string): void {
    this.#neighbours.delete(peer);
  }

  /** This node renewed a record of its own. */
  renewed(record: HolderRecord): void {
    this.#renewals.own(record, this.#neighbours);
  }

  /** This node sealed a record of its own: a change of state, or the same again. `told` have it already. */
  announced(
    record: HolderRecord,
    isNews: boolean,
    nowMs: number,
    told: ReadonlySet<string> = new Set(),
  ): void {
    if (isNews) this.#spread(record, nowMs, told, GOSSIP.ownFanout);
    else if (this.#neighbours.size > GOSSIP.promptNeighbours)
      this.#spreadLazily(record, told);
    else
      for (const peer of this.#neighbours.peers)
        if (!told.has(peer)) this.#neighbours.tell(peer, record);
  }

  /** A verified record was stored, with this outcome. `pushed`: it was not requested. */
  learned(
    record: HolderRecord,
    outcome: PutOutcome,
    from: string,
    nowMs: number,
    pushed: boolean,
  ): void {
    const digest = digestOf(record);
    const asked = this.#asked.get(digest.id);
    if (asked !== undefined && asked.seq <= digest.seq)
      this.#asked.delete(digest.id);
    if (outcome === "stale" || outcome === "full") return;
    const { peer } = record.announcement;
    const upTo = this.#suspects.droppedUpTo(peer, nowMs);
    if (upTo !== undefined && digest.seq <= upTo) {
      // Late news of a dropped member: not newer than the record it was dropped for.
      this.#records.removePeer(peer, upTo);
      return;
    }
    const isFresh = outcome !== "renewed" || this.#suspects.has(peer);
    const isWanted = asked?.seq === digest.seq;
    if (isFresh && (isWanted ? asked.fresh : pushed))
      this.#spread(record, nowMs, new Set([from]), fanoutOf(record));
    else this.#spreadLazily(record, new Set([from]));
  }

  /** Everything in a message except its records, which come through `learned`. */
  receive(from: string, message: GossipMessage, nowMs: number): void {
    const wants: Digest[] = [];
    for (const digest of message.news)
      this.#compare(from, digest, nowMs, wants, true);
    for (const digest of message.have)
      this.#compare(from, digest, nowMs, wants, false);
    this.#renewals.take(from, message.renewals, nowMs);
    const out = this.#neighbours.to(from);
    if (out !== undefined) {
      if (message.sync !== undefined)
        answerList(message.sync, this.#everything(nowMs), out);
      if (message.ask.length > 0)
        answerAsk(message.ask, this.#everything(nowMs), out);
      out.want.push(...wants);
    }
    if (message.want.length > 0) this.#answer(from, message.want);
    for (const suspicion of message.suspects)
      this.#onSuspicion(from, suspicion, nowMs);
  }

  /** Something is due before the next tick of a second. */
  isUrgent(nowMs: number): boolean {
    if (this.#newsDueMs !== undefined) return true;
    return this.#suspects.isWaiting(nowMs);
  }

  /** Call it every second, and a few times a second while urgent. Returns whether records were dropped. */
  tick(nowMs: number): boolean {
    if (this.#newsDueMs !== undefined && nowMs >= this.#newsDueMs)
      this.#flushNews();
    if (nowMs >= this.#nextLazyMs) {
      this.#nextLazyMs = nowMs + GOSSIP.lazyMs;
      this.#flushLazy();
    }
    this.#nextSyncMs ??= nowMs + GOSSIP.syncMs * this.#options.random();
    if (nowMs >= this.#nextSyncMs) {
      this.#nextSyncMs =
        nowMs + GOSSIP.syncMs * (0.75 + this.#options.random() / 2);
      const [peer] = this.#neighbours.some(1);
      if (peer !== undefined) this.#sync(peer, nowMs);
      for (const [id, { untilMs }] of this.#asked)
        if (untilMs <= nowMs) this.#asked.delete(id);
    }
    return this.#dropSuspects(nowMs);
  }

  /** The messages to send, each within the limits. */
  drain(): { to: string; message: GossipMessage }[] {
    return this.#neighbours.drain();
  }

  /** If others suspect this node, returned once: it must seal records numbered above this and announce them as news. */
  takeRefutation(): number | undefined {
    const above = this.#refuteAbove;
    this.#refuteAbove = undefined;
    return above;
  }

  /** Sends a change whole to a few, its digest to the others. */
  #spread(
    record: HolderRecord,
    nowMs: number,
    told: ReadonlySet<string>,
    fanout: number,
  ): void {
    const digest = digestOf(record);
    this.#lazy.delete(digest.id);
    for (const peer of this.#neighbours.some(fanout, told))
      this.#neighbours.tell(peer, record);
    this.#news.set(digest.id, digest);
    const { size } = this.#neighbours;
    const waitMs =
      size <= GOSSIP.promptNeighbours ? 0 : size * GOSSIP.perNeighbourMs;
    this.#newsDueMs ??= nowMs + waitMs;
    if (waitMs === 0) this.#flushNews(told);
  }

  #flushNews(told: ReadonlySet<string> = new Set()): void {
    const digests = [...this.#news.values()];
    this.#news.clear();
    this.#newsDueMs = undefined;
    for (const peer of this.#neighbours.peers) {
      if (told.has(peer)) continue;
      const out = this.#neighbours.to(peer);
      if (out === undefined) continue;
      const whole = [...out.records, ...out.changes];
      const sent = new Set(whole.map((r) => digestOf(r).id));
      for (const digest of digests)
        if (!sent.has(digest.id)) out.news.push(digest);
    }
  }

  #spreadLazily(record: HolderRecord, told: ReadonlySet<string>): void {
    const digest = digestOf(record);
    const { links = [], peer } = record.announcement;
    // Its holder told these itself, if it names them all.
    const tellsAll = links.length < LINKS.max;
    const all = new Set([...told, ...(tellsAll ? links : []), peer]);
    this.#lazy.set(digest.id, { digest, told: all });
  }

  #flushLazy(): void {
    const peers = this.#neighbours.some(GOSSIP.lazyFanout);
    this.#renewals.flush(peers, this.#neighbours);
    if (this.#lazy.size === 0) return;
    for (const peer of peers) {
      const link = peer.slice(-LINKS.characters);
      for (const { digest, told } of this.#lazy.values())
        if (!told.has(peer) && !told.has(link))
          this.#neighbours.to(peer)?.have.push(digest);
    }
    this.#lazy.clear();
  }

  #sync(peer: string, nowMs: number): void {
    const out = this.#neighbours.to(peer);
    if (out !== undefined) out.sync = listOf(this.#everything(nowMs));
  }

  #everything(nowMs: number): HolderRecord[] {
    return [...this.#options.own(), ...this.#records.list(nowMs)];
  }

  #compare(
    from: string,
    { id, seq }: Digest,
    nowMs: number,
    wants: Digest[],
    fresh: boolean,
  ): void {
    const record = this.#records.get(id);
    if (record !== undefined && numberOf(record) >= seq) {
      // In a list of everything it looked older or newer: only its whole number tells which.
      if (!fresh && numberOf(record) > seq)
        this.#neighbours.to(from)?.have.push(digestOf(record));
      return;
    }
    const grave = record === undefined ? this.#records.grave(id) : undefined;
    const ended = record === undefined ? this.#records.ended(id) : undefined;
    const known =
      record === undefined
        ? (ended?.seq ?? this.#ownSeq(id))
        : numberOf(record);
    if (known === undefined || known < seq) {
      if (wants.length >= MESSAGE_LIMITS.wants) return;
      const asked = this.#asked.get(id);
      if (asked !== undefined && asked.seq >= seq && asked.untilMs > nowMs)
        return;
      const untilMs = nowMs + GOSSIP.askedMs;
      this.#asked.set(id, { seq, untilMs, fresh });
      wants.push({ id, seq: record?.announcement.seq ?? 0 });
      return;
    }
    if (ended === undefined) return;
    // It has not heard that this holder is gone, or it is that living holder.
    if (grave?.goodbye !== undefined) {
      if (seq < grave.seq) this.#neighbours.tell(from, grave.goodbye);
    } else {
      const { peer, seq: last } = ended;
      this.#neighbours.to(from)?.suspects.push({ peer, seq: last });
    }
  }

  #answer(from: string, want: readonly Digest[]): void {
    const own = this.#options.own();
    for (const { id, seq } of want) {
      const record =
        this.#records.get(id) ??
        own.find((r) => digestOf(r).id === id) ??
        this.#records.grave(id)?.goodbye;
      if (record !== undefined) this.#neighbours.tell(from, record, seq);
    }
  }

  #onSuspicion(from: string, { peer, seq }: Suspicion, nowMs: number): void {
    if (peer === this.#options.self) {
      const newest = newestOf(this.#options.own());
      if (newest === undefined) return;
      // Refuted already: the accuser has not heard it yet.
      if (newest > seq)
        for (const record of this.#options.own())
          this.#neighbours.tell(from, record);
      else if (seq <= newest + GOSSIP.suspectAhead)
        this.#refuteAbove = Math.max(this.#refuteAbove ?? 0, seq);
      return;
    }
    const known = newestOf(this.#records.of(peer));
    if (known === undefined) return;
    if (known > seq) {
      for (const record of this.#records.of(peer))
        this.#neighbours.to(from)?.news.push(digestOf(record));
      return;
    }
    if (this.#suspects.seqOf(peer) >= seq) return;
    const isBeyond = seq > known + GOSSIP.suspectAhead;
    if (isBeyond || !this.#mayAccuse(from, nowMs)) {
      this.#options.refusals.add("suspicion");
      return;
    }
    this.#suspects.add({ peer, seq }, nowMs + GOSSIP.graceMs);
    this.#tellAll({ peer, seq }, from);
  }

  #mayAccuse(from: string, nowMs: number): boolean {
    const { size } = this.#records;
    return (
      this.#options.mayAccuse(from) &&
      this.#neighbours.maySuspect(from, size, nowMs)
    );
  }

  #tellAll(suspicion: Suspicion, except?: string): void {
    if (!this.#options.isWitness()) return;
    for (const peer of this.#neighbours.peers)
      if (peer !== except) this.#neighbours.to(peer)?.suspects.push(suspicion);
  }

  #dropSuspects(nowMs: number): boolean {
    let dropped = false;
    for (const { peer, seq } of this.#suspects.due(nowMs))
      dropped = this.#records.removePeer(peer, seq) || dropped;
    return dropped;
  }

  #ownSeq(id: string): number | undefined {
    const all = this.#options.own().map(digestOf);
    return all.find((digest) => digest.id === id)?.seq;
  }
}

/** What decides whether prompts are answered goes to more at once. */
function fanoutOf({ previous, announcement: { state } }: HolderRecord): number {
  const isUrgent = state === "ready" || state === "gone";
  const isSmall = previous !== undefined;
  return isSmall || isUrgent ? GOSSIP.eagerFanout : GOSSIP.newFanout;
}

function newestOf(records: readonly HolderRecord[]): number | undefined {
  return records.length === 0 ? undefined : Math.max(...records.map(numberOf));
}
