/** How many sessions run at once at a gateway, and how many wait. Beyond both: BUSY, at once. */
import { ShoalError, withDeadline } from "../lib/index.ts";

export interface AdmissionOptions {
  /** Requests that may wait. */
  maxWaiting?: number;
  waitTimeoutMs?: number;
}

export class Admission {
  #active = 0;
  #waiting: (() => void)[] = [];
  #maxWaiting: number;
  #waitTimeoutMs: number;

  constructor({
    maxWaiting = 16,
    waitTimeoutMs = 30_000,
  }: AdmissionOptions = {}) {
    this.#maxWaiting = maxWaiting;
    this.#waitTimeoutMs = waitTimeoutMs;
  }

  get active(): number {
    return this.#active;
  }

  /** Waits for one of `limit` places. Returns the function that gives it back, once. Throws BUSY, or the signal's reason. */
  async enter(limit: number, signal: AbortSignal): Promise<() => void> {
    if (this.#active >= limit) await this.#wait(limit, signal);
    else this.#active++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#release();
    };
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#active--;
    else next(); // the place is passed on, so nobody slips in between
  }

  async #wait(limit: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new ShoalError(
        "BUSY",
        `all ${limit} sessions are in use and ${this.#waiting.length} requests wait`,
        {
          sessions: limit,
          waiting: this.#waiting.length,
        },
      );
    }
    const { promise: turn, resolve: enter } = Promise.withResolvers<void>();
    this.#waiting.push(enter);
    try {
      await withDeadline(
        this.#waitTimeoutMs,
        "waiting for a free session",
        () => turn,
        { signal, code: "BUSY" },
      );
    } catch (error) {
      const index = this.#waiting.indexOf(enter);
      if (index >= 0) this.#waiting.splice(index, 1);
      else this.#release(); // the place came just as the wait was abandoned
      throw error;
    }
  }
}
