/** So many of something a minute: a bucket that holds a minute's worth and fills evenly. */
import type { Clock } from "../../lib/index.ts";

const MINUTE_MS = 60_000;

export class MinuteBucket {
  readonly #clock: Pick<Clock, "now">;
  #perMinute: number;
  #level: number;
  #atMs: number;

  /** Full at first. */
  constructor(perMinute: number, clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#perMinute = perMinute;
    this.#level = perMinute;
    this.#atMs = clock.now();
  }

  get perMinute(): number {
    return this.#perMinute;
  }

  /** What there is; below 0 while more was taken than there was. */
  get level(): number {
    const nowMs = this.#clock.now();
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    const filled = this.#level + (elapsedMs / MINUTE_MS) * this.#perMinute;
    this.#level = Math.min(this.#perMinute, filled);
    this.#atMs = nowMs;
    return this.#level;
  }

  /** Takes it, also where there is less. */
  take(amount: number): void {
    this.#level = this.level - amount;
  }

  /** Until there is as much. */
  msUntil(level: number): number {
    const missing = Math.min(level, this.#perMinute) - this.level;
    return Math.max(0, Math.ceil((missing / this.#perMinute) * MINUTE_MS));
  }

  /** Another limit from here on; what was taken stays taken. */
  change(perMinute: number): void {
    const taken = this.#perMinute - this.level;
    this.#perMinute = perMinute;
    this.#level = perMinute - taken;
  }
}
