/**
 * Which route a prompt takes after a stage refused it or was lost before the first token: nothing was sent to the client yet, so it can be
 * retried. Pure.
 *
 * - If another node holds the refusing stage's layers, that stage is avoided.
 * - If nobody else does and another stage could not reach it, that other one is avoided: only its own connection may be cut.
 * - If there is no other route, a stage whose connection was lost is tried once more over a new connection, because it may have been cut
 *   off only for a moment.
 */
import { type Clock, isShoalError, type ShoalError } from "../lib/index.ts";

export interface Detour {
  /** The peer it is about. */
  peer: string;
  /** "another route", for the log. */
  words: string;
}

const REFUSALS = ["BUSY", "DRAINING", "STAGE_LOST", "STAGE_FAILED"] as const;

export class Reroutes {
  readonly #avoided = new Set<string>();
  readonly #hasRoute: (avoided: ReadonlySet<string>) => boolean;
  #again = false;

  /** `shunned` peers are avoided from the start, each if there is a route without it. */
  constructor(
    hasRoute: (avoided: ReadonlySet<string>) => boolean,
    shunned: Iterable<string> = [],
  ) {
    this.#hasRoute = hasRoute;
    for (const peer of shunned)
      if (this.#canAvoid(peer)) this.#avoided.add(peer);
  }

  /** Peers that the next route must not have. */
  get avoided(): ReadonlySet<string> {
    return this.#avoided;
  }

  /** What to try after `refusal` on `route`; undefined if there is nothing. */
  after(
    refusal: ShoalError,
    route: readonly { peer: string }[],
  ): Detour | undefined {
    if (!isShoalError(refusal, ...REFUSALS)) return undefined;
    const { stage, from } = refusal.details;
    const suspects = [stage, from].flatMap((index) =>
      typeof index === "number" ? (route[index]?.peer ?? []) : [],
    );
    const peer = suspects.find((one) => this.#canAvoid(one));
    if (peer !== undefined) {
      this.#avoided.add(peer);
      return { peer, words: "another route" };
    }
    const [lost] = suspects;
    if (lost === undefined || this.#again || !wasConnected(refusal))
      return undefined;
    this.#again = true;
    return { peer: lost, words: "the same route over a new connection" };
  }

  #canAvoid(peer: string): boolean {
    return this.#hasRoute(new Set([...this.#avoided, peer]));
  }
}

/** A prompt needs seconds to notice a cut connection; the next ones need not. After this time one may try again. */
const SHUN_MS = 60_000;

/** Peers that prompts avoid because they were lost or could not reach the next stage. */
export class AvoidedPeers {
  readonly #clock: Clock;
  readonly #untilMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(peer: string): void {
    this.#untilMs.set(peer, this.#clock.now() + SHUN_MS);
  }

  list(): string[] {
    const now = this.#clock.now();
    for (const [peer, untilMs] of this.#untilMs)
      if (untilMs <= now) this.#untilMs.delete(peer);
    return [...this.#untilMs.keys()];
  }
}

/** An open connection was lost; no dial failed. */
function wasConnected({ code, details, cause }: ShoalError): boolean {
  return (
    code === "STAGE_LOST" &&
    details.from === undefined &&
    !isShoalError(cause, "DIAL_FAILED")
  );
}
