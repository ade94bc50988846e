/**
 * Which route a reply takes after a stage refused it, failed or was lost. Pure.
 *
 * - If another node holds the refusing stage's layers, that stage is avoided.
 * - Peers that earlier sessions found at fault are avoided, too, but only as long as there is a way around all.
 * - If nothing came and no stage is known to be at fault, every stage is avoided that can be.
 * - If nobody else does and another stage could not reach it, that other one is avoided: only its own connection may be cut.
 * - If there is no other route, a stage whose connection was lost is tried once more over a new connection, because it may have been cut
 *   off only for a moment.
 */
import {
  type Clock,
  type ErrorCode,
  isShoalError,
  type ShoalError,
} from "../lib/index.ts";

export interface Detour {
  /** The peer it is about. */
  peer: string;
  /** "another route", for the log. */
  words: string;
}

const REFUSALS = [
  "BUSY",
  "DRAINING",
  "STAGE_LOST",
  "STAGE_FAILED",
  "DEADLINE",
] as const;

type Route = readonly { peer: string }[];

export class Reroutes {
  #avoided = new Set<string>();
  /** Of the avoided ones those that refused or failed this reply. */
  readonly #own = new Set<string>();
  readonly #shunned: readonly string[];
  readonly #hasRoute: (avoided: ReadonlySet<string>) => boolean;
  #again = false;

  /** `shunned` peers are avoided from the start, each if there is a route without it. */
  constructor(
    hasRoute: (avoided: ReadonlySet<string>) => boolean,
    shunned: Iterable<string> = [],
  ) {
    this.#hasRoute = hasRoute;
    this.#shunned = [...shunned];
    this.#shun();
  }

  /** Peers that the next route must not have. */
  get avoided(): ReadonlySet<string> {
    return this.#avoided;
  }

  /** What to try after `refusal` on `route`; undefined if there is nothing. */
  after(refusal: ShoalError, route: Route): Detour | undefined {
    if (!isShoalError(refusal, ...REFUSALS)) return undefined;
    const suspects = suspectsOf(refusal, route);
    const peer =
      suspects.find((one) => this.#canAvoid(one)) ?? this.#insteadOf(suspects);
    if (peer !== undefined) {
      this.#avoid(peer);
      if (refusal.code === "DEADLINE")
        for (const other of suspects)
          if (this.#canAvoid(other)) this.#avoid(other);
      return { peer, words: "another route" };
    }
    const [lost] = suspects;
    if (lost === undefined || this.#again || !wasConnected(refusal))
      return undefined;
    this.#again = true;
    return { peer: lost, words: "the same route over a new connection" };
  }

  /** Peers that the next sessions had better avoid, too, after what `after` was told. */
  blamed(refusal: ShoalError, route: Route): string[] {
    // One that has no room, or is about to leave, says so itself.
    const { code } = refusal;
    if (code === "BUSY" || code === "DRAINING") return [];
    const suspects = suspectsOf(refusal, route);
    // It said itself that it failed; of the others nobody knows.
    if (code === "STAGE_FAILED") return suspects.slice(0, 1);
    return suspects.filter((peer) => this.#avoided.has(peer));
  }

  /** One of the suspects that can be avoided if others may be used that only earlier sessions found at fault. */
  #insteadOf(suspects: readonly string[]): string | undefined {
    const peer = suspects.find((one) =>
      this.#hasRoute(new Set([...this.#own, one])),
    );
    if (peer === undefined) return undefined;
    this.#avoided = new Set([...this.#own, peer]);
    this.#shun();
    return peer;
  }

  #avoid(peer: string): void {
    this.#avoided.add(peer);
    this.#own.add(peer);
  }

  #shun(): void {
    for (const peer of this.#shunned)
      if (this.#canAvoid(peer)) this.#avoided.add(peer);
  }

  #canAvoid(peer: string): boolean {
    return this.#hasRoute(new Set([...this.#avoided, peer]));
  }
}

const SHUN_DEFAULTS = Object.freeze({
  /** An engine that failed may be well again as soon as it is loaded. */
  failedMs: 10_000,
  /** A prompt needs seconds to notice a cut connection, and a minute to notice one that hangs; the next ones need not. */
  lostMs: 60_000,
  /** Each further failure doubles the time. */
  mostMs: 600_000,
  /** So long after the time was over the failures are forgotten. */
  forgetMs: 600_000,
});

/** Peers that the next sessions avoid because they failed a session, were lost, or could not reach the next stage; for longer each time. */
export class AvoidedPeers {
  readonly #clock: Clock;
  readonly #peers = new Map<string, { failures: number; untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(peer: string, code: ErrorCode): void {
    this.#forget();
    const { failedMs, lostMs, mostMs } = SHUN_DEFAULTS;
    const now = this.#clock.now();
    const { failures, untilMs } = this.#peers.get(peer) ?? {
      failures: 0,
      untilMs: now,
    };
    const firstMs = code === "STAGE_FAILED" ? failedMs : lostMs;
    // Sessions that fail together fail for one reason.
    const again = failures === 0 || untilMs <= now ? failures + 1 : failures;
    const ms = Math.min(mostMs, firstMs * 2 ** (again - 1));
    const until = Math.max(untilMs, now + ms);
    this.#peers.set(peer, { failures: again, untilMs: until });
  }

  /** Those first that will be avoided longest: where not all can be, the others are used. */
  list(): string[] {
    this.#forget();
    const now = this.#clock.now();
    return [...this.#peers]
      .filter(([, { untilMs }]) => untilMs > now)
      .toSorted(([, a], [, b]) => b.untilMs - a.untilMs)
      .map(([peer]) => peer);
  }

  #forget(): void {
    const beforeMs = this.#clock.now() - SHUN_DEFAULTS.forgetMs;
    for (const [peer, { untilMs }] of this.#peers)
      if (untilMs <= beforeMs) this.#peers.delete(peer);
  }
}

/** Whose fault it may be, the likeliest first. */
function suspectsOf({ code, details }: ShoalError, route: Route): string[] {
  const { stage, from } = details;
  const named = [stage, from].flatMap((index) =>
    typeof index === "number" ? (route[index]?.peer ?? []) : [],
  );
  if (named.length > 0 || code !== "DEADLINE") return named;
  return route.map(({ peer }) => peer);
}

/** An open connection was lost; no dial failed. */
function wasConnected({ code, details, cause }: ShoalError): boolean {
  return (
    code === "STAGE_LOST" &&
    details.from === undefined &&
    !isShoalError(cause, "DIAL_FAILED")
  );
}
