/** How many sessions run at once at a gateway, and whose turn is next. Beyond the bound on those that wait: BUSY, at once. */
import { ShoalError, withDeadline } from "../lib/index.ts";
import type { GenerateRequest } from "./backend.ts";
import { FairQueue } from "./fair-queue.ts";
import { pagedTokens } from "./kv-budget.ts";

export interface AdmissionOptions {
  /** Requests that may wait. */
  maxWaiting?: number;
  waitTimeoutMs?: number;
  /** In milliseconds. */
  now?: () => number;
}

export const ADMISSION_DEFAULTS = Object.freeze({
  /** A prompt of 100,000 tokens is 400 KB: all that wait take some 100 MB at most. */
  maxWaiting: 256,
  /** A full queue in front of a slow cluster. The first token's deadline is longer, so that this one, which says why, comes first. */
  waitTimeoutMs: 300_000,
});

/** Between these a client that found no room is told to come again. */
const RETRY_MS = Object.freeze({ least: 1_000, most: 60_000 });
/** Of the last session's time in the mean of all: a dozen sessions make it. */
const MEAN_SHARE = 0.15;
/** Who is not named shares one turn. */
const ANYONE = "";

/** What the cluster has room for at once. */
export interface Capacity {
  sessions: number;
  /** Of keys and values, of all sessions together. */
  tokens: number;
}

type Admitted = Pick<
  GenerateRequest,
  "tokens" | "maxTokens" | "signal" | "flow"
>;

interface Waiting {
  pages: number;
  enter: () => void;
  refuse: (error: ShoalError) => void;
}

export class Admission {
  #active = 0;
  #pages = 0;
  #capacity: Capacity = { sessions: 0, tokens: 0 };
  readonly #queue = new FairQueue<Waiting>();
  /** Requests that wait for something else than a place. */
  #elsewhere = 0;
  /** How long a session takes. */
  #meanMs: number | undefined;
  readonly #maxWaiting: number;
  readonly #waitTimeoutMs: number;
  readonly #now: () => number;

  constructor(options: AdmissionOptions = {}) {
    this.#maxWaiting = options.maxWaiting ?? ADMISSION_DEFAULTS.maxWaiting;
    this.#waitTimeoutMs =
      options.waitTimeoutMs ?? ADMISSION_DEFAULTS.waitTimeoutMs;
    this.#now = options.now ?? (() => performance.now());
  }

  get active(): number {
    return this.#active;
  }

  /** How many wait for a place. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Waits until a session of `tokens`, prompt and reply, fits into `capacity` and it is the turn of its flow (`FairQueue`). Returns the
   * function that gives its place back, once. Throws BUSY, or the signal's reason.
   */
  async enter(
    capacity: Capacity,
    tokens: number,
    signal: AbortSignal,
    flow: string = ANYONE,
  ): Promise<() => void> {
    this.#capacity = capacity;
    const pages = pagedTokens(tokens);
    if (this.#queue.size === 0 && this.#fits(pages)) {
      this.#queue.passes(flow);
      this.#take(pages);
    } else await this.#wait(flow, pages, signal);
    const startedMs = this.#now();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#note(this.#now() - startedMs);
      this.#release(pages);
    };
  }

  /** A generation in its turn. Its prompt and its tokens are charged to its flow as they are computed. Throws what `enter` does. */
  async *run<T>(
    capacity: Capacity,
    { tokens, maxTokens, signal, flow = ANYONE }: Admitted,
    generate: () => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    const length = tokens.length + maxTokens;
    const leave = await this.enter(capacity, length, signal, flow);
    try {
      this.charge(flow, tokens.length);
      for await (const token of generate()) {
        this.charge(flow, 1);
        yield token;
      }
    } finally {
      leave();
    }
  }

  /** Tokens were computed for a flow. */
  charge(flow: string, tokens: number): void {
    this.#queue.charge(flow, tokens);
  }

  /** The cluster has room for this now: whoever waits and fits enters. */
  resize(capacity: Capacity): void {
    this.#capacity = capacity;
    this.#admit();
  }

  /** Counts a request as one that waits until the returned function is called, twice without harm. Throws BUSY. */
  waitElsewhere(): () => void {
    this.#makeRoom(undefined);
    this.#elsewhere++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#elsewhere--;
    };
  }

  /** A session alone always does: the stages decide. */
  #fits(pages: number): boolean {
    const { sessions, tokens: most } = this.#capacity;
    if (this.#active === 0) return true;
    return this.#active < sessions && this.#pages + pages <= most;
  }

  #take(pages: number): void {
    this.#active++;
    this.#pages += pages;
  }

  #release(pages: number): void {
    this.#active--;
    this.#pages -= pages;
    this.#admit();
    if (this.#active === 0) this.#queue.reset();
  }

  /** Taken before its turn comes, so nobody slips in between. */
  #admit(): void {
    for (let next = this.#queue.head; next; next = this.#queue.head) {
      const { pages, enter } = next.item;
      if (!this.#fits(pages)) return;
      this.#queue.remove(next);
      this.#queue.begins(next.flow);
      this.#take(pages);
      enter();
    }
  }

  /** One who has fewer waiting than another takes that one's last place: nobody keeps the others out. Throws BUSY. */
  #makeRoom(flow: string | undefined): void {
    if (this.#queue.size + this.#elsewhere < this.#maxWaiting) return;
    const own = flow === undefined ? Infinity : this.#queue.waitingOf(flow);
    const last = this.#queue.lastOfLongest(own + 2);
    if (last === undefined) throw this.#busy();
    this.#queue.remove(last);
    last.item.refuse(this.#busy());
  }

  #busy(): ShoalError {
    const { sessions } = this.#capacity;
    const waiting = this.#queue.size + this.#elsewhere;
    return new ShoalError(
      "BUSY",
      `${this.#active} sessions are running, of at most ${sessions}, and ${waiting} requests wait`,
      { active: this.#active, sessions, waiting, ...this.#retry() },
    );
  }

  /** When those that wait have had their turn, as long as sessions took so far. */
  #retry(): { retryAfterMs?: number } {
    if (this.#meanMs === undefined) return {};
    const turns = this.#queue.size / Math.max(1, this.#capacity.sessions);
    const ms = Math.round(this.#meanMs * turns);
    const { least, most } = RETRY_MS;
    return { retryAfterMs: Math.min(most, Math.max(least, ms)) };
  }

  #note(ms: number): void {
    const before = this.#meanMs ?? ms;
    this.#meanMs = before + (ms - before) * MEAN_SHARE;
  }

  async #wait(flow: string, pages: number, signal: AbortSignal): Promise<void> {
    this.#makeRoom(flow);
    const turn = Promise.withResolvers<void>();
    let entered = false;
    const enter = (): void => {
      entered = true;
      turn.resolve();
    };
    const waiting = { pages, enter, refuse: turn.reject };
    const me = this.#queue.push(flow, waiting);
    try {
      await withDeadline(
        this.#waitTimeoutMs,
        "waiting for a free session",
        () => turn.promise,
        { signal, code: "BUSY" },
      );
    } catch (error) {
      // The place may have come just as the wait was abandoned.
      this.#queue.remove(me);
      if (entered) this.#release(pages);
      this.#admit(); // a shorter one may stand behind
      throw error;
    }
  }
}
