/**
 * Which way a prompt goes after a stage refused it, or was lost, before the first token: nothing was said yet, so it may be asked again. Pure.
 *
 * - Where another node holds the layers of the stage that refused, that stage is passed over.
 * - Where nobody else does, and another stage could not reach it, that other one is passed over: it may be theirs alone that the way is cut.
 * - Where there is no other way at all, a stage whose connection was lost is tried once more, over a new connection: who was cut off for
 *   a moment is there again.
 */
import { type Clock, isShoalError, type ShoalError } from "../lib/index.ts";

export interface Detour {
  /** Whom it is about. */
  peer: string;
  /** "another route", for the log. */
  words: string;
}

const REFUSALS = ["BUSY", "DRAINING", "STAGE_LOST", "STAGE_FAILED"] as const;

export class Detours {
  readonly #avoided = new Set<string>();
  readonly #hasRoute: (avoided: ReadonlySet<string>) => boolean;
  #again = false;

  /** `shunned` are gone around from the start, each if there is a way without it. */
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

  /** What to try after `refusal` on `route`; undefined where there is nothing. */
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

/** To find that a way is cut takes a prompt seconds: the next ones need not find it each. After this long one may try. */
const SHUN_MS = 60_000;

/** Peers that a prompt went around since they were lost to it, or did not reach the next. */
export class Shunned {
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

/** It is lost that there was a connection: no dial has failed. */
function wasConnected({ code, details, cause }: ShoalError): boolean {
  return (
    code === "STAGE_LOST" &&
    details.from === undefined &&
    !isShoalError(cause, "DIAL_FAILED")
  );
}
