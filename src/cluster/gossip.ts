/**
 * Gossip as a state machine: events come in through calls, messages go out through `drain`. It has no clock, socket or signature: the
 * adapter (gossip-link.ts) has those, and the simulation (bench/simulate.ts) its own.
 *
 *     a change of state   the record at once to a few neighbours, its digest (holder, number) to all others; they ask for what they lack
 *     a renewal           the record to the neighbours of its holder; from there its digest, once a second, to a few that are no
 *                         neighbours of the holder: the record itself travels to each node once
 *     everything          the digests of all records, every 10 s, with one random neighbour, and with each that was just connected
 *     a lost connection   what the lost one held is dropped here, and suspected everywhere: who does not hear a newer record within the
 *                         grace drops it, too. A suspect that lives says so with a newer record, and that always wins.
 */
import { LINKS } from "./announcement.ts";
import {
  type GossipMessage,
  MESSAGE_LIMITS,
  type Suspicion,
} from "./gossip-message.ts";
import { GossipNeighbours } from "./gossip-neighbours.ts";
import {
  type ClusterRecords,
  type Digest,
  digestOf,
  type HolderRecord,
  type PutOutcome,
} from "./records.ts";
import type { Refusals } from "./refusals.ts";
import { Suspects } from "./suspects.ts";

export const GOSSIP = Object.freeze({
  /** Neighbours that get a whole change at once. With three, it reaches a thousand nodes in seven steps. */
  eagerFanout: 3,
  /** The same for a node's own change, because a node that said goodbye cannot be asked any more. */
  ownFanout: 8,
  /** Neighbours that get the digests of renewals. The exchange of everything reaches the others. */
  lazyFanout: 4,
  /** A renewal has 40 s to reach everybody: three or four of these steps, and one request each. */
  lazyMs: 1_000,
  /** A lost message is repaired after this time, or after a few of these. */
  syncMs: 10_000,
  /** The grace of a suspect. QUIC notices a lost connection after 3.75 s at most: together less than 5 s. */
  graceMs: 1_000,
  /**
   * A suspicion may name a record that this node has not heard of, but none numbered further above the last one: by as much as its peer's
   * clock may have been set back since. Nothing could refute a number that none is above.
   */
  suspectAhead: 10 * 60_000,
  /** A requested record that did not arrive is requested elsewhere after this time. */
  askedMs: 2_000,
  /** A member with more neighbours sends less often, this long per neighbour: at most 500 messages a second. */
  perNeighbourMs: 2,
  promptNeighbours: 16,
});

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
  /** Renewals and learned records, with the peers that have them already. */
  #lazy = new Map<string, { digest: Digest; told: ReadonlySet<string> }>();
  /** Changes that not every neighbour has been told of. */
  #news = new Map<string, Digest>();
  #newsDueMs: number | undefined;
  #nextLazyMs = 0;
  #nextSyncMs: number | undefined;
  #refuteAbove: number | undefined;

  constructor(options: GossipOptions) {
    this.#options = options;
    this.#records = options.records;
    this.#neighbours = new GossipNeighbours(options.random);
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
    const seq = this.#newestSeq(peer);
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
        if (!told.has(peer)) this.#neighbours.to(peer)?.records.push(record);
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
      this.#spread(record, nowMs, new Set([from]));
    else this.#spreadLazily(record, new Set([from]));
  }

  /** Everything in a message except its records, which come through `learned`. */
  receive(from: string, message: GossipMessage, nowMs: number): void {
    const wants: string[] = [];
    for (const digest of message.news)
      this.#compare(from, digest, nowMs, wants, true);
    for (const digest of message.have)
      this.#compare(from, digest, nowMs, wants, false);
    if (message.sync) this.#tellWhatLacks(from, message.have, nowMs);
    if (wants.length > 0) this.#neighbours.to(from)?.want.push(...wants);
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
    fanout: number = GOSSIP.eagerFanout,
  ): void {
    const digest = digestOf(record);
    this.#lazy.delete(digest.id);
    for (const peer of this.#neighbours.some(fanout, told))
      this.#neighbours.to(peer)?.records.push(record);
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
      const whole = new Set(out.records.map((r) => digestOf(r).id));
      for (const digest of digests)
        if (!whole.has(digest.id)) out.news.push(digest);
    }
  }

  #spreadLazily(record: HolderRecord, told: ReadonlySet<string>): void {
    const digest = digestOf(record);
    const { links = [], peer } = record.announcement;
    // Its holder told these itself; a holder with more neighbours than it names is unknown in this respect.
    const tellsAll = links.length < LINKS.max;
    const all = new Set([...told, ...(tellsAll ? links : []), peer]);
    this.#lazy.set(digest.id, { digest, told: all });
  }

  #flushLazy(): void {
    if (this.#lazy.size === 0) return;
    for (const peer of this.#neighbours.some(GOSSIP.lazyFanout)) {
      const link = peer.slice(-LINKS.characters);
      for (const { digest, told } of this.#lazy.values())
        if (!told.has(peer) && !told.has(link))
          this.#neighbours.to(peer)?.have.push(digest);
    }
    this.#lazy.clear();
  }

  #sync(peer: string, nowMs: number): void {
    const out = this.#neighbours.to(peer);
    if (out === undefined) return;
    out.sync = true;
    out.have = [
      ...this.#options.own().map(digestOf),
      ...this.#records.list(nowMs).map(digestOf),
    ];
  }

  #compare(
    from: string,
    { id, seq }: Digest,
    nowMs: number,
    wants: string[],
    fresh: boolean,
  ): void {
    const record = this.#records.get(id);
    if (record !== undefined && record.announcement.seq >= seq) return;
    const grave = record === undefined ? this.#records.grave(id) : undefined;
    const known = record?.announcement.seq ?? grave?.seq ?? this.#ownSeq(id);
    if (known === undefined || known < seq) {
      if (wants.length >= MESSAGE_LIMITS.wants) return;
      const asked = this.#asked.get(id);
      if (asked !== undefined && asked.seq >= seq && asked.untilMs > nowMs)
        return;
      const untilMs = nowMs + GOSSIP.askedMs;
      this.#asked.set(id, { seq, untilMs, fresh });
      wants.push(id);
      return;
    }
    if (grave === undefined) return;
    // It has not heard that this holder is gone, or it is that living holder.
    if (grave.goodbye !== undefined) {
      if (seq < grave.seq)
        this.#neighbours.to(from)?.records.push(grave.goodbye);
    } else
      this.#neighbours
        .to(from)
        ?.suspects.push({ peer: grave.peer, seq: grave.seq });
  }

  #tellWhatLacks(from: string, have: readonly Digest[], nowMs: number): void {
    const theirs = new Map(have.map(({ id, seq }) => [id, seq]));
    const mine = [...this.#options.own(), ...this.#records.list(nowMs)];
    const out = this.#neighbours.to(from);
    for (const record of mine) {
      const digest = digestOf(record);
      if ((theirs.get(digest.id) ?? -1) < digest.seq) out?.have.push(digest);
    }
  }

  #answer(from: string, want: readonly string[]): void {
    const own = this.#options.own();
    const out = this.#neighbours.to(from);
    for (const id of want) {
      const record =
        this.#records.get(id) ??
        own.find((r) => digestOf(r).id === id) ??
        this.#records.grave(id)?.goodbye;
      if (record !== undefined) out?.records.push(record);
    }
  }

  #onSuspicion(from: string, { peer, seq }: Suspicion, nowMs: number): void {
    if (peer === this.#options.self) {
      const [newest] = this.#options
        .own()
        .map(({ announcement }) => announcement.seq)
        .toSorted((a, b) => b - a);
      if (newest === undefined) return;
      // Refuted already: the accuser has not heard it yet.
      if (newest > seq)
        for (const record of this.#options.own())
          this.#neighbours.to(from)?.records.push(record);
      else if (seq <= newest + GOSSIP.suspectAhead)
        this.#refuteAbove = Math.max(this.#refuteAbove ?? 0, seq);
      return;
    }
    const known = this.#newestSeq(peer);
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

  #newestSeq(peer: string): number | undefined {
    const all = this.#records.of(peer).map(({ announcement: a }) => a.seq);
    return all.length === 0 ? undefined : Math.max(...all);
  }

  #ownSeq(id: string): number | undefined {
    for (const record of this.#options.own())
      if (digestOf(record).id === id) return record.announcement.seq;
    return undefined;
  }
}
