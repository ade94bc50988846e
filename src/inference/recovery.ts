/**
 * How a reply goes on after a stage of its route refused, failed or was lost: along another route, over a new connection, or once the cluster
 * has changed. It waits for that, but not for ever; then the error says what was tried.
 */
import {
  backoffMs,
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
} from "../lib/index.ts";
import { type AvoidedPeers, Reroutes } from "./reroute.ts";

export const RECOVERY_DEFAULTS = Object.freeze({
  /** From the first failure to the next token. A node that takes over fetches nothing or little, and loads. */
  timeoutMs: 60_000,
});

/** Between two tries while nothing changes. */
const TRY_AGAIN = { initialMs: 250, maxMs: 4_000 } as const;

interface Stage {
  peer: string;
  layerStart: number;
  layerEnd: number;
}

export interface RecoveryOptions {
  clock: Clock;
  timeoutMs: number;
  /** Until when a reply that has had no route yet waits for its first. */
  firstRouteByMs: number;
  events: EventSink;
  signal: AbortSignal;
  shunned: AvoidedPeers;
  /** Whether a session has a route without these peers. */
  hasRoute: (avoided: ReadonlySet<string>) => boolean;
  /** Resolves with the cluster's next change, or when the signal aborts. */
  changed: (signal: AbortSignal) => Promise<void>;
  /** Told when the session begins to wait, and after what. */
  onWaiting: (error: ShoalError, route: readonly Stage[]) => void;
}

export class Recovery {
  readonly #options: RecoveryOptions;
  #detours: Reroutes;
  /** Of the first failure since the last token. */
  #failedMs: number | undefined;
  #tries = 0;
  #hadRoute = false;
  #hasBegun = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#detours = this.#newDetours();
  }

  /** Peers that the next route must not have. */
  get avoided(): ReadonlySet<string> {
    return this.#detours.avoided;
  }

  /** A token came. */
  progress(): void {
    this.#hasBegun = true;
    if (this.#failedMs === undefined) return;
    this.#startAnew();
    this.#detours = this.#newDetours();
  }

  #startAnew(): void {
    this.#failedMs = undefined;
    this.#tries = 0;
  }

  /**
   * After a session along `route` failed, or, without a route, because there is none. Resolves when the next try is worth it; throws the
   * error if there is none, with what was tried.
   */
  async after(error: ShoalError, route: readonly Stage[] = []): Promise<void> {
    const { clock, events, shunned, signal } = this.#options;
    if (signal.aborted || !isPassing(error)) throw error;
    if (!this.#hadRoute && route.length > 0) this.#startAnew();
    this.#hadRoute ||= route.length > 0;
    this.#failedMs ??= clock.now();
    this.#tries++;
    const detour = this.#detours.after(error, route);
    const { code, message } = error;
    for (const peer of this.#detours.blamed(error, route))
      shunned.add(peer, code);
    if (detour !== undefined) {
      const { peer, words } = detour;
      events.info("SESSION", `trying ${words}: ${message}`, { code, peer });
      return;
    }
    if (!this.#isWorthWaiting(error)) throw error;
    await this.#wait(error, route);
  }

  /** Before the first token somebody else may have room; and an engine that computes wrongly does so again. */
  #isWorthWaiting({ code, details }: ShoalError): boolean {
    if (code === "BUSY") return this.#hasBegun;
    return details.engine !== "ENGINE_FAILED";
  }

  async #wait(error: ShoalError, route: readonly Stage[]): Promise<void> {
    const { clock, events, signal, changed, onWaiting } = this.#options;
    const failedMs = this.#failedMs ?? clock.now();
    const timeoutMs = this.#patienceMs(failedMs);
    const leftMs = failedMs + timeoutMs - clock.now();
    if (leftMs <= 0) throw this.#exhausted(error, timeoutMs);
    if (this.#tries === 1)
      events.warn("SESSION", `waiting: ${error.message}`, { code: error.code });
    onWaiting(error, route);
    const over = new AbortController();
    const pauseMs = Math.min(leftMs, backoffMs(this.#tries, TRY_AGAIN));
    await Promise.race([
      changed(AbortSignal.any([signal, over.signal])),
      pause(clock, pauseMs, over.signal),
    ]);
    over.abort();
    signal.throwIfAborted();
    this.#detours = this.#newDetours();
  }

  /** From the first failure. */
  #patienceMs(failedMs: number): number {
    const { firstRouteByMs, timeoutMs } = this.#options;
    return this.#hadRoute ? timeoutMs : firstRouteByMs - failedMs;
  }

  #exhausted(error: ShoalError, timeoutMs: number): ShoalError {
    if (timeoutMs <= 0) return error;
    const tried = `${this.#tries} ${this.#tries === 1 ? "try" : "tries"} in ${Math.round(timeoutMs / 1000)} s`;
    return new ShoalError(
      error.code,
      `${error.message} (${tried})`,
      { ...error.details, tries: this.#tries, timeoutMs },
      error,
    );
  }

  #newDetours(): Reroutes {
    const { hasRoute, shunned } = this.#options;
    return new Reroutes(hasRoute, shunned.list());
  }
}

/** It is not the request's fault, so it may pass. */
function isPassing(error: ShoalError): boolean {
  return isShoalError(
    error,
    "BUSY",
    "DRAINING",
    "STAGE_LOST",
    "STAGE_FAILED",
    "SWARM_NOT_READY",
    "DEADLINE",
  );
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    signal.addEventListener(
      "abort",
      () => {
        cancel();
        resolve();
      },
      { once: true },
    );
  });
}
