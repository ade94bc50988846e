/**
 * Schedules one engine: sessions take turns, one decode each, so that a long prompt's chunks and other sessions' tokens interleave. A
 * session's own work stays in order.
 */
import { ShoalError } from "../lib/index.ts";

export interface Turn {
  /** Does one decode and sends its result on. Its rejection goes to `fail`. */
  run(): Promise<void>;
  fail(error: ShoalError): void;
}

/** Waiting frames of a session: the gateway's window of prompt chunks is far smaller (pipeline.ts). */
const MAX_WAITING_PER_SESSION = 512;

export class Scheduler {
  #waiting = new Map<string, Turn[]>();
  #running = false;

  /** Adds a turn for `session`. Throws BUSY past the bound: the peer ignores the window. */
  add(session: string, turn: Turn): void {
    const turns = this.#waiting.get(session);
    if (turns === undefined) this.#waiting.set(session, [turn]);
    else if (turns.length >= MAX_WAITING_PER_SESSION)
      throw new ShoalError(
        "BUSY",
        "too many frames are waiting in this session",
      );
    else turns.push(turn);
    if (!this.#running) void this.#run();
  }

  /** Forgets what a session has waiting. */
  drop(session: string): void {
    this.#waiting.delete(session);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (;;) {
      const next = this.#waiting.entries().next().value;
      if (next === undefined) break;
      const [session, turns] = next;
      const turn = turns.shift();
      this.#waiting.delete(session); // to the end of the line, if there is more
      if (turns.length > 0) this.#waiting.set(session, turns);
      if (turn === undefined) continue;
      try {
        await turn.run();
      } catch (error) {
        turn.fail(ShoalError.from(error));
      }
    }
    this.#running = false;
  }
}
