/**
 * When to try which of a peer's addresses. QUIC has a head start. Addresses of one transport follow each other in short steps, so that one
 * behind a dead route does not use up the time of the next. The first that answers wins. After RFC 8305
 * (https://www.rfc-editor.org/rfc/rfc8305), with transports instead of address families.
 */
import { reasonOf, ShoalError } from "../lib/index.ts";
import { describeAddress, rankOf, TRANSPORT_RANK } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import { dialFailed, dialKind, dialReason, type DialKind } from "./failures.ts";

export interface RaceOptions<T> {
  /** Dials one address and heeds the signal. */
  dial: (address: string, signal: AbortSignal) => Promise<T>;
  /** Closes a connection that came too late. */
  discard: (connection: T) => void;
  signal: AbortSignal;
  /** For one address. */
  addressMs?: number;
  staggerMs?: number;
  headStartMs?: number;
}

/** The start time of each address if all before it stay silent, in ms: best transport first. */
export function dialSchedule(
  addresses: readonly string[],
  staggerMs: number = DEFAULTS.dialStaggerMs,
  headStartMs: number = DEFAULTS.tcpHeadStartMs,
): { address: string; startMs: number }[] {
  const sorted = [...new Set(addresses)]
    .sort((a, b) => rankOf(a) - rankOf(b))
    .slice(0, DEFAULTS.dialAddresses);
  const first = rankOf(sorted[0] ?? "");
  let startMs = 0;
  return sorted.map((address, i) => {
    if (i > 0) startMs += staggerMs;
    const rank = rankOf(address);
    if (rank > first) startMs = Math.max(startMs, headStartMs);
    // A machine with many cards announces many addresses that only its own networks can dial.
    if (rank === TRANSPORT_RANK.relayed)
      startMs = Math.min(startMs, DEFAULTS.relayHeadStartMs);
    return { address, startMs };
  });
}

/** The first connection, or DIAL_FAILED with each address's error. */
export async function raceAddresses<T>(
  peer: string,
  addresses: readonly string[],
  options: RaceOptions<T>,
): Promise<T> {
  const plan = dialSchedule(addresses, options.staggerMs, options.headStartMs);
  if (plan.length === 0) {
    throw dialFailed(`no address of ${peer} is known`, { peer });
  }
  if (options.signal.aborted) throw reasonOf(options.signal);
  return await new Promise((resolve, reject) =>
    new Race(peer, plan, options, resolve, reject).start(),
  );
}

class Race<T> {
  readonly #peer: string;
  readonly #plan: readonly { address: string; startMs: number }[];
  readonly #options: RaceOptions<T>;
  readonly #resolve: (connection: T) => void;
  readonly #reject: (error: Error) => void;
  /**
   * Each attempt has its own signal, and the winner's never aborts, because Node's sockets heed the signal they were opened with for life.
   */
  readonly #running = new Map<AbortController, string>();
  readonly #triedAgain = new Set<string>();
  readonly #answers = new Map<string, { reason: string; kind: DialKind }>();
  readonly #timers: NodeJS.Timeout[] = [];
  #next = 0;
  #settled = false;

  constructor(
    peer: string,
    plan: readonly { address: string; startMs: number }[],
    options: RaceOptions<T>,
    resolve: (connection: T) => void,
    reject: (error: Error) => void,
  ) {
    this.#peer = peer;
    this.#plan = plan;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    this.#options.signal.addEventListener("abort", this.#onAbort);
    this.#plan.forEach(({ startMs }, index) => {
      if (index > 0)
        this.#timers.push(setTimeout(() => this.#startUpTo(index), startMs));
    });
    this.#startUpTo(0);
  }

  #startUpTo(index: number): void {
    while (
      !this.#settled &&
      this.#next <= index &&
      this.#next < this.#plan.length
    ) {
      const step = this.#plan[this.#next++];
      if (step !== undefined) void this.#attempt(step.address);
    }
  }

  async #attempt(address: string): Promise<void> {
    const { dial, discard, addressMs = DEFAULTS.addressDialMs } = this.#options;
    const controller = new AbortController();
    this.#running.set(controller, address);
    const timer = setTimeout(
      () => controller.abort(new Error(`no answer within ${addressMs} ms`)),
      addressMs,
    );
    try {
      const connection = await dial(address, controller.signal);
      clearTimeout(timer);
      this.#running.delete(controller);
      if (this.#settled) discard(connection);
      else this.#settle(() => this.#resolve(connection));
    } catch (error) {
      clearTimeout(timer);
      this.#running.delete(controller);
      const why: unknown = controller.signal.aborted
        ? controller.signal.reason
        : error;
      this.#answers.set(address, {
        reason: dialReason(why),
        kind: dialKind(why),
      });
      if (this.#deservesMore(address, why)) void this.#attempt(address);
      else this.#onFailure(error);
    }
  }

  /**
   * If a worse transport is silent too, silence says nothing about the better one: the network may be cut. When it comes back, TCP's next
   * packet must not win for lack of a rival, because the connection then stays on TCP.
   */
  #deservesMore(address: string, why: unknown): boolean {
    if (this.#settled || this.#triedAgain.has(address) || !isSilence(why))
      return false;
    this.#triedAgain.add(address);
    const rank = rankOf(address);
    return [...this.#running.values()].some((other) => rankOf(other) > rank);
  }

  #onFailure(error: unknown): void {
    if (this.#settled || this.#running.size > 0) return;
    // There is nothing left to wait for: the next address starts at once.
    if (this.#next < this.#plan.length) this.#startUpTo(this.#next);
    else this.#settle(() => this.#reject(this.#allFailed(error)));
  }

  readonly #onAbort = (): void => {
    this.#settle(() =>
      this.#reject(this.#allFailed(reasonOf(this.#options.signal))),
    );
  };

  #settle(finish: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    finish();
    for (const loser of this.#running.keys())
      loser.abort(new Error("another address was faster"));
  }

  #allFailed(cause: unknown): ShoalError {
    const tried = this.#plan.map(({ address }) => address);
    const said = tried.map(
      (a) =>
        `${describeAddress(a)}: ${this.#answers.get(a)?.reason ?? "no answer"}`,
    );
    const kinds = tried.map((a) => this.#answers.get(a)?.kind ?? "silent");
    return dialFailed(
      `cannot reach ${this.#peer} (${said.join("; ")})`,
      { peer: this.#peer, addresses: tried, kinds },
      cause,
    );
  }
}

/** Nobody refused: a deadline ended it. */
function isSilence(why: unknown): boolean {
  return (
    dialKind(why) === "silent" ||
    (why instanceof ShoalError && why.details.timeoutMs !== undefined)
  );
}
