/** Requests that came while the cluster could not answer: each waits for the cluster to change, in bounded number and for a bounded time. */
import { type Clock, reasonOf, ShoalError } from "../lib/index.ts";
import type { Admission } from "./admission.ts";
import type { Arrival } from "./backend.ts";
import type { Changes } from "./changes.ts";
import { awaited } from "./readiness.ts";
import type { SessionLog } from "./session-log.ts";

export const READY_DEFAULTS = Object.freeze({
  /** A node that restarts is back by then; most clients wait longer for the first byte. */
  timeoutMs: 30_000,
});

export interface WaitingRoomOptions {
  clock: Clock;
  /** From a request's arrival; 0: nobody waits. */
  timeoutMs: number;
  /** Whose queue bounds those that wait here too. */
  admission: Pick<Admission, "waitElsewhere">;
  changes: Changes;
  sessions: SessionLog;
}

export class WaitingRoom {
  readonly #options: WaitingRoomOptions;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  /**
   * What `find` finds, at once or after a change; an error that it gives says why there is nothing yet. Throws what `find` throws, BUSY, the
   * last reason after the timeout, or the signal's reason.
   */
  async until<T extends object>(
    find: () => T | ShoalError,
    arrival: Arrival,
  ): Promise<T> {
    const found = find();
    if (!(found instanceof ShoalError)) return found;
    if (this.#options.timeoutMs === 0) throw found;
    const { admission, sessions } = this.#options;
    const leave = admission.waitElsewhere();
    const { requestId, arrivedMs, onWaiting } = arrival;
    const entry = sessions.begin(requestId, null, { arrivedMs, onWaiting });
    try {
      const late = await this.#wait(found, find, arrival, entry);
      entry.handOver();
      return late;
    } catch (error) {
      entry.end(error);
      throw error;
    } finally {
      leave();
    }
  }

  async #wait<T extends object>(
    reason: ShoalError,
    find: () => T | ShoalError,
    { arrivedMs, signal }: Arrival,
    entry: { waiting: (what: string) => void },
  ): Promise<T> {
    const { clock, timeoutMs, changes } = this.#options;
    const late = new AbortController();
    const leftMs = Math.max(0, arrivedMs + timeoutMs - clock.now());
    const cancel = clock.after(leftMs, () => late.abort());
    const until = AbortSignal.any([signal, late.signal]);
    let found: T | ShoalError = reason;
    try {
      while (found instanceof ShoalError) {
        entry.waiting(awaited(found));
        await changes.next(until);
        if (signal.aborted) throw reasonOf(signal);
        found = find();
        if (found instanceof ShoalError && late.signal.aborted)
          throw waitedInVain(found, timeoutMs);
      }
      return found;
    } finally {
      cancel();
    }
  }
}

function waitedInVain(reason: ShoalError, timeoutMs: number): ShoalError {
  const seconds = Math.round(timeoutMs / 1000);
  return new ShoalError(
    reason.code,
    `${reason.message} (waited ${seconds} s)`,
    { ...reason.details, timeoutMs },
    reason,
  );
}
