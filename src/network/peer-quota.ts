/** A token bucket per peer: bursts pass, floods do not. */
import type { Clock } from "../lib/index.ts";

/** Buckets kept; the least recently used go first. A peer that returns later begins with a full one. */
const MAX_BUCKETS = 4_096;

interface Bucket {
  tokens: number;
  atMs: number;
}

export class PeerQuota {
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #clock: Pick<Clock, "now">;
  readonly #buckets = new Map<string, Bucket>();

  constructor(burst: number, perSecond: number, clock: Pick<Clock, "now">) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Takes tokens of `key`; if there are too few, returns false and takes none. */
  take(key: string, tokens = 1): boolean {
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? {
      tokens: this.#burst,
      atMs: nowMs,
    };
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(
      this.#burst,
      bucket.tokens + (elapsedMs / 1000) * this.#perSecond,
    );
    bucket.atMs = nowMs;
    // The most recently used is last, so the first are the least recently used.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_BUCKETS) {
      const oldest = this.#buckets.keys().next();
      if (oldest.done !== true) this.#buckets.delete(oldest.value);
    }
    if (bucket.tokens < tokens) return false;
    bucket.tokens -= tokens;
    return true;
  }
}
