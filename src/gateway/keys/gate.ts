/** So many at once; the others wait, first come, first served. */
import { abortable, reasonOf, ShoalError } from "../../lib/index.ts";

/** Generations of one key that wait for its others to end: as many as may wait for a cluster. */
export const MAX_AT_GATE = 256;

export class Gate {
  #most: number;
  #inside = 0;
  #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Returns the function that leaves, twice without harm. Throws RATE_LIMITED if too many wait, or the signal's reason. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw reasonOf(signal);
    if (this.#inside < this.#most) this.#inside++;
    else await this.#wait(signal);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#inside--;
      this.#admit();
    };
  }

  /** Another limit from here on. */
  change(most: number): void {
    this.#most = most;
    this.#admit();
  }

  async #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= MAX_AT_GATE)
      throw new ShoalError(
        "RATE_LIMITED",
        `this key may have ${this.#most} sessions at once, and ${MAX_AT_GATE} more wait already`,
        { sessions: this.#most, waiting: MAX_AT_GATE },
      );
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await abortable(promise, signal);
    } catch (error) {
      const index = this.#waiting.indexOf(resolve);
      if (index >= 0) this.#waiting.splice(index, 1);
      else {
        // Its turn came just as it left.
        this.#inside--;
        this.#admit();
      }
      throw error;
    }
  }

  #admit(): void {
    while (this.#inside < this.#most) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#inside++;
      next();
    }
  }
}
