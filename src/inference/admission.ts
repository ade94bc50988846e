/** How many sessions run at once at a gateway, and how many wait. Beyond both: BUSY, at once. */
import { ShoalError, withDeadline } from "../lib/index.ts";
import { pagedTokens } from "./kv-budget.ts";

export interface AdmissionOptions {
  /** Requests that may wait. */
  maxWaiting?: number;
  waitTimeoutMs?: number;
}

/** What the cluster has room for at once. */
export interface Capacity {
  sessions: number;
  /** Of keys and values, of all sessions together. */
  tokens: number;
}

interface Waiting {
  tokens: number;
  enter: () => void;
}

export class Admission {
  #active = 0;
  #tokens = 0;
  #capacity: Capacity = { sessions: 0, tokens: 0 };
  #waiting: Waiting[] = [];
  /** Requests that wait for something else than a place. */
  #elsewhere = 0;
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

  /**
   * Waits until a session of `tokens`, prompt and reply, fits into `capacity`, in order of arrival. Returns the function that gives its
   * place back, once. Throws BUSY, or the signal's reason.
   */
  async enter(
    capacity: Capacity,
    tokens: number,
    signal: AbortSignal,
  ): Promise<() => void> {
    this.#capacity = capacity;
    const pages = pagedTokens(tokens);
    if (this.#waiting.length === 0 && this.#fits(pages)) this.#take(pages);
    else await this.#wait(pages, signal);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#release(pages);
    };
  }

  /** Counts a request as one that waits until the returned function is called, twice without harm. Throws BUSY. */
  waitElsewhere(): () => void {
    this.#checkQueue();
    this.#elsewhere++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#elsewhere--;
    };
  }

  /** A session alone always does: the stages decide. */
  #fits(tokens: number): boolean {
    const { sessions, tokens: most } = this.#capacity;
    if (this.#active === 0) return true;
    return this.#active < sessions && this.#tokens + tokens <= most;
  }

  #take(tokens: number): void {
    this.#active++;
    this.#tokens += tokens;
  }

  #release(tokens: number): void {
    this.#active--;
    this.#tokens -= tokens;
    this.#admit();
  }

  /** Taken before its turn comes, so nobody slips in between. */
  #admit(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (!this.#fits(next.tokens)) return;
      this.#waiting.shift();
      this.#take(next.tokens);
      next.enter();
    }
  }

  #checkQueue(): void {
    const waiting = this.#waiting.length + this.#elsewhere;
    if (waiting < this.#maxWaiting) return;
    const { sessions } = this.#capacity;
    throw new ShoalError(
      "BUSY",
      `${this.#active} sessions are running, of at most ${sessions}, and ${waiting} requests wait`,
      { active: this.#active, sessions, waiting },
    );
  }

  async #wait(tokens: number, signal: AbortSignal): Promise<void> {
    this.#checkQueue();
    const { promise: turn, resolve: enter } = Promise.withResolvers<void>();
    const me = { tokens, enter };
    this.#waiting.push(me);
    try {
      await withDeadline(
        this.#waitTimeoutMs,
        "waiting for a free session",
        () => turn,
        { signal, code: "BUSY" },
      );
    } catch (error) {
      const index = this.#waiting.indexOf(me);
      // The place may have come just as the wait was abandoned.
      if (index < 0) this.#release(tokens);
      else this.#waiting.splice(index, 1);
      this.#admit(); // a shorter one may stand behind
      throw error;
    }
  }
}
