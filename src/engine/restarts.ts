/**
 * When a dead engine is started again, and when no more. Each failure in a row doubles the pause. One that fails at every load, or soon after, is given
 * up: it lacks memory, or its file or its card is broken, and trying for ever would only keep the machine busy. Pure.
 */
import { backoffMs, isShoalError, type ShoalError } from "../lib/index.ts";

export const RESTART_DEFAULTS = Object.freeze({
  initialMs: 200,
  maxMs: 30_000,
  /** One that ran so long ran well: what ends it then is another fault. */
  wellMs: 60_000,
  /** Failures in a row, some 25 s apart from the loads themselves: another program's need of memory may pass in that time. */
  most: 8,
});

export interface RestartOptions {
  initialMs?: number;
  random?: () => number;
}

export class Restarts {
  readonly #options: RestartOptions;
  /** Of the pause. */
  #attempt = 0;
  #failures = 0;

  constructor(options: RestartOptions = {}) {
    this.#options = options;
  }

  /** In a row, by its own fault. */
  get failures(): number {
    return this.#failures;
  }

  /** It had been loaded, and died. The pause before the next load; undefined: none is worth it. */
  died(error: ShoalError, ranMs: number): number | undefined {
    if (ranMs > RESTART_DEFAULTS.wellMs) {
      this.#attempt = 0;
      this.#failures = 0;
    }
    if (isOthersFault(error)) return this.#pauseMs(0);
    if (!wasEndedFromOutside(error)) this.#failures++;
    return this.#pauseMs(this.#attempt++);
  }

  /** It could not be loaded. */
  notLoaded(error: ShoalError): number | undefined {
    if (isOthersFault(error)) return this.#pauseMs(0);
    this.#failures++;
    return this.#pauseMs(this.#attempt++);
  }

  #pauseMs(attempt: number): number | undefined {
    const { initialMs, maxMs, most } = RESTART_DEFAULTS;
    if (this.#failures >= most) return undefined;
    const how = { initialMs, maxMs, ...this.#options };
    return backoffMs(attempt, how);
  }
}

/** Another shard of the same process was being loaded. */
function isOthersFault({ details }: ShoalError): boolean {
  return details.isOthersFault === true;
}

/** By someone's hand: that says nothing about the next one. */
function wasEndedFromOutside(error: ShoalError): boolean {
  const { signal, isOutOfMemory, fault } = error.details;
  return (
    (signal === "SIGKILL" && isOutOfMemory !== true) ||
    (isShoalError(error, "ENGINE_HUNG") && fault === "stopped")
  );
}
