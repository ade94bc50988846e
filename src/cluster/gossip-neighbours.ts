/** The connected members: what to send to each, and how many suspicions each may still send. */
import {
  emptyMessage,
  type GossipMessage,
  inLimits,
} from "./gossip-message.ts";
import type { HolderRecord } from "./records.ts";

/** Suspicions accepted from one neighbour. */
const SUSPICIONS = Object.freeze({
  /** At once, plus one per known record. */
  burst: 32,
  perSecond: 8,
});

/** What is left of a neighbour's suspicions, as of `atMs`. */
interface Bucket {
  tokens: number;
  atMs: number;
}

export class GossipNeighbours {
  readonly #all = new Map<string, Bucket>();
  /** What is to be sent. */
  readonly #out = new Map<string, GossipMessage>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  get size(): number {
    return this.#all.size;
  }

  get peers(): string[] {
    return [...this.#all.keys()];
  }

  has(peer: string): boolean {
    return this.#all.has(peer);
  }

  add(peer: string, nowMs: number): void {
    this.#all.set(peer, { tokens: SUSPICIONS.burst, atMs: nowMs });
  }

  delete(peer: string): void {
    this.#all.delete(peer);
    this.#out.delete(peer);
  }

  /** Its outgoing message, to be added to; undefined if it is not a neighbour. */
  to(peer: string): GossipMessage | undefined {
    if (!this.#all.has(peer)) return undefined;
    let out = this.#out.get(peer);
    if (out === undefined) this.#out.set(peer, (out = emptyMessage()));
    return out;
  }

  /**
   * Sends a record: the difference, if it is known with this number; a `knownSeq` of undefined is a neighbour that should know the one before,
   * and requests the whole if not.
   */
  tell(peer: string, record: HolderRecord, knownSeq?: number): void {
    const out = this.to(peer);
    const { previous } = record;
    const knows =
      previous !== undefined && (knownSeq ?? previous.seq) === previous.seq;
    (knows ? out?.changes : out?.records)?.push(record);
  }

  /** Up to `count` random ones. */
  some(count: number, except: ReadonlySet<string> = new Set()): string[] {
    const all = this.peers.filter((peer) => !except.has(peer));
    const chosen: string[] = [];
    while (chosen.length < count && all.length > 0) {
      const [peer] = all.splice(Math.floor(this.#random() * all.length), 1);
      if (peer !== undefined) chosen.push(peer);
    }
    return chosen;
  }

  /** Counts one more suspicion; false if that is too many for `records` known records. */
  maySuspect(peer: string, records: number, nowMs: number): boolean {
    const bucket = this.#all.get(peer);
    if (bucket === undefined) return false;
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(
      SUSPICIONS.burst + records,
      bucket.tokens + (elapsedMs / 1000) * SUSPICIONS.perSecond,
    );
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  /** Everything to send, each message within the limits. */
  drain(): { to: string; message: GossipMessage }[] {
    const all: { to: string; message: GossipMessage }[] = [];
    for (const [to, out] of this.#out)
      for (const message of inLimits(out)) all.push({ to, message });
    this.#out.clear();
    return all;
  }
}
