/** What a token will take at each stage of a route, from what the holders announce. Pure; every claim has bounds. */
import { ROUTING } from "./defaults.ts";
import { type LinkTime, LinkTimes } from "./link-times.ts";

/** A ready holder of a layer range, as far as routes are concerned. */
export interface Holder {
  peer: string;
  /** Half-open layer range. */
  layerStart: number;
  layerEnd: number;
  sessions: { active: number; max: number };
  /** Measured compute per token; unknown if it has not computed yet. */
  msPerToken?: number | null | undefined;
  /** Connected peers: the ends of their ids. */
  links?: readonly string[] | undefined;
  /** To each of these; null or 0 is unknown. */
  roundTripsMs?: readonly (number | null)[] | undefined;
}

export interface PredictedStage {
  computeMs: number;
  /** Behind the decodes of other sessions. */
  queueMs: number;
  /** To the next stage; from the last one to the first; 0 if there is only one. */
  wireMs: number;
  /** What was measured; the rest is estimated. */
  isComputeMeasured: boolean;
  isWireMeasured: boolean;
}

export interface RoutePrediction {
  msPerToken: number;
  stages: PredictedStage[];
}

/** Compute per token of each holder. Unmeasured ones compute as fast as the others, layer by layer. */
export function computeTimes(
  holders: readonly Holder[],
): { ms: number; isMeasured: boolean }[] {
  const perLayer = holders.flatMap((holder) => {
    const ms = claimedMs(holder);
    return ms === undefined ? [] : [ms / layersIn(holder)];
  });
  const usual = median(perLayer) ?? ROUTING.unknownMsPerLayer;
  return holders.map((holder) => {
    const ms = claimedMs(holder);
    return ms === undefined
      ? { ms: usual * layersIn(holder), isMeasured: false }
      : { ms, isMeasured: true };
  });
}

export function waiting({ sessions }: Holder): number {
  return Math.min(ROUTING.mostWaiting, Math.max(0, sessions.active));
}

/** Of a route through these holders, in order; `all` are the cluster's, who tell more about links and processors. */
export function predict(
  route: readonly Holder[],
  all: readonly Holder[] = route,
  links = new LinkTimes(all),
): RoutePrediction {
  const computes = computeTimes(all);
  const parts = route.map((holder, i) => ({
    compute: computes[all.indexOf(holder)] ?? computeTimes([holder])[0],
    wire: linkOf(links, holder, route[(i + 1) % route.length], route.length),
  }));
  return sum(
    parts.map(({ compute, wire }) => ({
      computeMs: compute?.ms ?? 0,
      queueMs: 0,
      wireMs: wire.ms,
      isComputeMeasured: compute?.isMeasured ?? false,
      isWireMeasured: wire.isMeasured,
    })),
    route.map(waiting),
  );
}

/**
 * Sessions pass each other in the ring, so nobody waits until one stage has more work in a turn than a token's whole way takes: then every
 * token waits there for the others.
 */
function sum(
  stages: readonly PredictedStage[],
  waitingAt: readonly number[],
): RoutePrediction {
  const aloneMs = stages.reduce((ms, s) => ms + s.computeMs + s.wireMs, 0);
  const turns = stages.map((s, i) => s.computeMs * (1 + (waitingAt[i] ?? 0)));
  const longestMs = Math.max(0, ...turns);
  const bottleneck = stages[turns.indexOf(longestMs)];
  const queueMs = Math.max(0, longestMs - aloneMs);
  if (bottleneck !== undefined) bottleneck.queueMs = queueMs;
  return { msPerToken: aloneMs + queueMs, stages: [...stages] };
}

function linkOf(
  links: LinkTimes,
  from: Holder,
  to: Holder | undefined,
  stages: number,
): LinkTime {
  if (to === undefined || stages === 1) return { ms: 0, isMeasured: true };
  return links.between(from.peer, to.peer);
}

function claimedMs(holder: Holder): number | undefined {
  const { msPerToken } = holder;
  if (typeof msPerToken !== "number" || Number.isNaN(msPerToken))
    return undefined;
  const leastMs = ROUTING.leastMsPerLayer * layersIn(holder);
  return Math.max(leastMs, Math.min(msPerToken, ROUTING.mostMsPerToken));
}

function layersIn({ layerStart, layerEnd }: Holder): number {
  return Math.max(1, layerEnd - layerStart);
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
