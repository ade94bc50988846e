/** Routes: which peers compute which layers of a session, in order. Pure. */
import { z } from "zod";

/** More stages than any model has layers would be a mistake. */
export const MAX_STAGES = 256;

export const RouteStage = z.object({
  peer: z.string().max(128),
  /** Half-open layer range. */
  layerStart: z.number().int().min(0).max(65_535),
  layerEnd: z.number().int().min(1).max(65_536),
  /** Where the previous stage can dial it. */
  addresses: z.array(z.string().max(512)).max(16),
});
export type RouteStage = z.infer<typeof RouteStage>;

/** An element of a route: a ready holder of a layer range. */
export interface Candidate extends RouteStage {
  freeSessions: number;
  /** Measured compute per token, ms; unknown if it has not computed yet. */
  msPerToken?: number | undefined;
}

/** The cost of one more stage besides its compute, in ms: a hop on a local network. */
const HOP_MS = 1;
/** Compute of an unmeasured stage: equal for all, so that the number of stages decides. */
const UNKNOWN_MS_PER_LAYER = 1;

/**
 * The cheapest chain of whole ranges from layer 0 to `layerCount`: fewest hops and least compute, holders without a free session only if
 * there is no other. Undefined if a layer is not covered. Dijkstra on a line: ranges only lead forward.
 */
export function planRoute(
  candidates: readonly Candidate[],
  layerCount: number,
): Candidate[] | undefined {
  const best: ({ cost: number; via: Candidate | undefined } | undefined)[] = [
    { cost: 0, via: undefined },
  ];
  const byStart = Map.groupBy(candidates, (c) => c.layerStart);
  for (let layer = 0; layer < layerCount; layer++) {
    const here = best[layer];
    if (here === undefined) continue;
    for (const candidate of byStart.get(layer) ?? []) {
      if (candidate.layerEnd <= layer || candidate.layerEnd > layerCount)
        continue;
      const cost = here.cost + stageCost(candidate);
      const known = best[candidate.layerEnd];
      if (known === undefined || cost < known.cost)
        best[candidate.layerEnd] = { cost, via: candidate };
    }
  }
  const route: Candidate[] = [];
  for (let layer = layerCount; layer > 0;) {
    const via = best[layer]?.via;
    if (via === undefined) return undefined;
    route.unshift(via);
    layer = via.layerStart;
  }
  return route.length > MAX_STAGES ? undefined : route;
}

/** A busy holder costs as much as a second of waiting. */
const BUSY_MS = 1_000;

function stageCost(candidate: Candidate): number {
  const compute =
    candidate.msPerToken ??
    UNKNOWN_MS_PER_LAYER * (candidate.layerEnd - candidate.layerStart);
  return HOP_MS + compute + (candidate.freeSessions > 0 ? 0 : BUSY_MS);
}

/** "layers 4-7", both ends included, as people count. */
export function layersOf(range: {
  layerStart: number;
  layerEnd: number;
}): string {
  const last = range.layerEnd - 1;
  return last === range.layerStart
    ? `layer ${last}`
    : `layers ${range.layerStart}-${last}`;
}
