/** Bytes per second: limited and measured. */
import { reasonOf, sleep, type Clock } from "../lib/index.ts";

/** A pause saves up this much of the limit, by default. */
const BURST_MS = 250;

/**
 * A token bucket that may go into debt: a caller that finds it not empty takes all it needs, and the next waits until the debt is paid. So
 * a piece larger than a second's worth passes, and the average holds.
 */
export class ByteRate {
  readonly #clock: Clock;
  readonly #burstBytes: number | undefined;
  /** Infinity means no limit. */
  #bytesPerSecond: number;
  #tokens = 0;
  #atMs: number;
  #line: Promise<void> = Promise.resolve();

  /**
   * `burstBytes`: what a pause saves up, and what is available at the start; by default what the limit gives in a quarter of a second, and
   * nothing at the start.
   */
  constructor(
    clock: Clock,
    bytesPerSecond: number | undefined,
    burstBytes?: number,
  ) {
    this.#clock = clock;
    this.#burstBytes = burstBytes;
    this.#tokens = burstBytes ?? 0;
    this.#bytesPerSecond = bytesPerSecond ?? Infinity;
    this.#atMs = clock.now();
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  set bytesPerSecond(limit: number | undefined) {
    this.#refill();
    this.#bytesPerSecond = limit ?? Infinity;
    this.#tokens = Math.min(this.#tokens, 0);
  }

  /** Time until something may be taken; 0 means now. */
  delayMs(): number {
    if (this.#bytesPerSecond === Infinity) return 0;
    this.#refill();
    return this.#tokens >= 0
      ? 0
      : Math.ceil((-this.#tokens / this.#bytesPerSecond) * 1000);
  }

  take(bytes: number): void {
    if (this.#bytesPerSecond !== Infinity) this.#tokens -= bytes;
  }

  /** Waits, in the order of the calls, and takes. */
  async acquire(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === Infinity) return;
    const turn = this.#line.then(async () => {
      // The limit may change meanwhile, so it waits in short steps.
      for (let ms = this.delayMs(); ms > 0; ms = this.delayMs()) {
        await sleep(Math.min(ms, BURST_MS), signal);
      }
      if (signal.aborted) throw reasonOf(signal);
      this.take(bytes);
    });
    this.#line = turn.catch(() => {});
    await turn;
  }

  #refill(): void {
    const now = this.#clock.now();
    const gained =
      (Math.max(0, now - this.#atMs) / 1000) * this.#bytesPerSecond;
    this.#atMs = now;
    if (this.#bytesPerSecond === Infinity) {
      this.#tokens = 0;
      return;
    }
    const burst = this.#burstBytes ?? (BURST_MS / 1000) * this.#bytesPerSecond;
    this.#tokens = Math.min(burst, this.#tokens + gained);
  }
}

/** Recent flow: older bytes count less, by half every `halfLifeMs`. */
export class RateMeter {
  readonly #clock: Pick<Clock, "now">;
  readonly #halfLifeMs: number;
  readonly #startedMs: number;
  #weight = 0;
  #atMs: number;
  totalBytes = 0;

  constructor(clock: Pick<Clock, "now">, halfLifeMs = 3_000) {
    this.#clock = clock;
    this.#halfLifeMs = halfLifeMs;
    this.#startedMs = this.#atMs = clock.now();
  }

  add(bytes: number): void {
    this.totalBytes += bytes;
    this.#decay();
    this.#weight += bytes;
  }

  get bytesPerSecond(): number {
    this.#decay();
    const tauMs = this.#halfLifeMs / Math.LN2;
    const ageMs = Math.max(this.#atMs - this.#startedMs, 1);
    // What a steady flow since the start would have accumulated, per byte/ms.
    const full = tauMs * (1 - Math.exp(-ageMs / tauMs));
    return (this.#weight / full) * 1000;
  }

  #decay(): void {
    const now = this.#clock.now();
    const passedMs = Math.max(0, now - this.#atMs);
    this.#weight *= 2 ** (-passedMs / this.#halfLifeMs);
    this.#atMs = now;
  }
}
