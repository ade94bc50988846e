/**
 * Tells an engine that computes from one that never will again, by what the system says of its process: the engine cannot say it itself, because
 * its one thread is inside a decode (docs/decisions/hung-engines.md). Pure.
 *
 * Time counts only as far as the node itself was awake: after a sleep, a stop or a long wait for a processor its timers are late, and the
 * engine had no more time than the node.
 */
import type { Vitals } from "./vitals.ts";

export const PULSE_DEFAULTS = Object.freeze({
  /** How often it is felt. */
  everyMs: 1_000,
  /** Above the pauses of programs that limit a process by stopping it. Half a beat less than three: timers are never exact. */
  stoppedMs: 2_500,
  /** Above what a slow network file system takes to read a page of weights. */
  stuckMs: 9_500,
});

export interface Beat {
  /** Since the beat before, as far as the node was awake. */
  elapsedMs: number;
  /** What is wrong, once it has been so for long enough. */
  fault: "stopped" | "stuck" | undefined;
}

export class Pulse {
  #lastMs: number;
  #last: Vitals | undefined;
  #stoppedMs = 0;
  #stuckMs = 0;

  constructor(nowMs: number) {
    this.#lastMs = nowMs;
  }

  /** It computed, wanted to, or waited for a disk when it was felt last. */
  get isBusy(): boolean {
    return this.#last?.state === "R" || this.#last?.state === "D";
  }

  /** `owes`: an answer that takes nothing but the processor. */
  beat(nowMs: number, vitals: Vitals | undefined, owes: boolean): Beat {
    const { everyMs, stoppedMs, stuckMs } = PULSE_DEFAULTS;
    const elapsedMs = Math.min(nowMs - this.#lastMs, 2 * everyMs);
    // A late beat tells only how it is now.
    const countedMs = Math.min(elapsedMs, everyMs);
    const rests = vitals !== undefined && vitals.used === this.#last?.used;
    const { state } = vitals ?? {};
    const was = this.#last?.state;
    const isStopped = rests && state === "T" && was === "T";
    const isStuck = rests && owes && state === "S" && was === "S";
    this.#stoppedMs = isStopped ? this.#stoppedMs + countedMs : 0;
    this.#stuckMs = isStuck ? this.#stuckMs + countedMs : 0;
    this.#lastMs = nowMs;
    this.#last = vitals;
    const fault =
      this.#stoppedMs >= stoppedMs
        ? "stopped"
        : this.#stuckMs >= stuckMs
          ? "stuck"
          : undefined;
    return { elapsedMs, fault };
  }
}
