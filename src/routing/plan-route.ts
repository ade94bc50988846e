/**
 * The cheapest route: a cycle through holders whose ranges follow each other from layer 0 to the last, and back to the first stage.
 *
 * For one first stage it is a shortest path, backwards over the borders: what is cheapest from a holder to the end and back does not depend
 * on what came before. So each first stage is tried, best first, until no other can be better. Most links are unmeasured and cost the
 * same; so a holder looks at the few it knows something of, and at the best of all others.
 */
import { MAX_STAGES, ROUTING } from "./defaults.ts";
import { LinkTimes, UNKNOWN_LINK } from "./link-times.ts";
import {
  computeTimes,
  type Holder,
  predict,
  type RoutePrediction,
  waiting,
} from "./prediction.ts";

export interface RoutePlan<H extends Holder = Holder> {
  stages: H[];
  prediction: RoutePrediction;
}

/** The cheapest route, holders without a free session only if there is no other. Undefined if there is none. */
export function planRoute<H extends Holder>(
  holders: readonly H[],
  layerCount: number,
): RoutePlan<H> | undefined {
  const graph = new RouteGraph(possible(holders, layerCount), layerCount);
  const route = graph.cheapest()?.map((i) => graph.holders[i] as H);
  if (route === undefined || route.length > MAX_STAGES) return undefined;
  return { stages: route, prediction: predict(route, holders, graph.links) };
}

/** Whether whole ranges chain from the first layer to the last. */
export function hasRoute(
  holders: readonly Holder[],
  layerCount: number,
): boolean {
  const reached = new Set([0]);
  for (const { layerStart, layerEnd } of possible(holders, layerCount).sort(
    (a, b) => a.layerStart - b.layerStart,
  ))
    if (reached.has(layerStart)) reached.add(layerEnd);
  return reached.has(layerCount);
}

/** What the choice minimises: each session that a stage has costs one decode, so that load spreads before it hurts. */
export function stageCosts(holders: readonly Holder[]): number[] {
  const computes = computeTimes(holders);
  return holders.map((holder, i) => {
    const ms = computes[i]?.ms ?? 0;
    const isFull = holder.sessions.active >= holder.sessions.max;
    return ms * (1 + waiting(holder)) + (isFull ? ROUTING.fullMs : 0);
  });
}

function possible<H extends Holder>(
  holders: readonly H[],
  layerCount: number,
): H[] {
  return holders.filter(
    ({ layerStart, layerEnd }) =>
      layerStart >= 0 && layerStart < layerEnd && layerEnd <= layerCount,
  );
}

interface Way {
  costMs: number;
  /** The following stage; -1 after the last. */
  next: number;
}

class RouteGraph {
  readonly holders: readonly Holder[];
  readonly links: LinkTimes;
  readonly #layerCount: number;
  readonly #costs: number[];
  /** Holders by their first layer. */
  readonly #byStart: Map<number, number[]>;
  /** From each holder to those of the next layers of which something is known, ms. The last layers are followed by the first. */
  readonly #known: Map<number, number>[];

  constructor(holders: readonly Holder[], layerCount: number) {
    this.holders = holders;
    this.#layerCount = layerCount;
    this.links = new LinkTimes(holders);
    this.#costs = stageCosts(holders);
    this.#byStart = Map.groupBy(
      holders.keys(),
      (i) => holders[i]?.layerStart ?? 0,
    );
    this.#known = this.#knownLinks();
  }

  cheapest(): number[] | undefined {
    const firsts = this.#firstStages();
    let best: number[] | undefined;
    let bestMs = Infinity;
    for (const { first, leastMs } of firsts.slice(0, ROUTING.firstStages)) {
      if (leastMs >= bestMs) break; // so are all later ones
      const ways = this.#waysTo(first);
      const costMs = ways[first]?.costMs ?? Infinity;
      if (costMs >= bestMs) continue;
      bestMs = costMs;
      best = [];
      for (let at = first; at !== -1; at = ways[at]?.next ?? -1) best.push(at);
    }
    return best;
  }

  /** With what a cycle through each costs at least: the cheapest way to an end, and the nearest end. */
  #firstStages(): { first: number; leastMs: number }[] {
    const open = this.#waysTo(undefined);
    const firsts = this.#byStart.get(0) ?? [];
    const closing = new Map<number, number>();
    for (const [last, holder] of this.holders.entries())
      if (holder.layerEnd === this.#layerCount)
        for (const [first, ms] of this.#known[last] ?? [])
          closing.set(first, Math.min(ms, closing.get(first) ?? Infinity));
    return firsts
      .flatMap((first) => {
        const way = open[first];
        if (way === undefined) return [];
        const backMs =
          way.next === -1
            ? 0
            : Math.min(closing.get(first) ?? Infinity, UNKNOWN_LINK.ms);
        return [{ first, leastMs: way.costMs + backMs }];
      })
      .sort((a, b) => a.leastMs - b.leastMs);
  }

  /** From each holder the cheapest way through the last layer and back to `first`; without it the way back costs nothing. */
  #waysTo(first: number | undefined): (Way | undefined)[] {
    const ways: (Way | undefined)[] = [];
    const starts = [...this.#byStart.keys()].sort((a, b) => b - a);
    /** By layer: the holders that start there and have a way, cheapest first. */
    const sorted = new Map<number, number[]>();
    const costOf = (i: number): number => ways[i]?.costMs ?? Infinity;
    for (const start of starts) {
      const here = this.#byStart.get(start) ?? [];
      for (const i of here) {
        const end = this.holders[i]?.layerEnd ?? 0;
        const rest =
          end === this.#layerCount
            ? { costMs: this.#closingMs(i, first), next: -1 }
            : this.#onward(i, sorted.get(end) ?? [], costOf);
        if (rest === undefined) continue;
        const own = this.#costs[i] ?? 0;
        ways[i] = { costMs: own + rest.costMs, next: rest.next };
      }
      sorted.set(
        start,
        here
          .filter((i) => ways[i] !== undefined)
          .sort((a, b) => costOf(a) - costOf(b)),
      );
    }
    return ways;
  }

  #onward(
    from: number,
    sorted: readonly number[],
    costOf: (i: number) => number,
  ): Way | undefined {
    const known = this.#known[from];
    const stranger = sorted.find((i) => known?.has(i) !== true);
    let best: Way | undefined =
      stranger === undefined
        ? undefined
        : { costMs: UNKNOWN_LINK.ms + costOf(stranger), next: stranger };
    for (const [next, ms] of known ?? []) {
      const costMs = ms + costOf(next);
      if (costMs < (best?.costMs ?? Infinity)) best = { costMs, next };
    }
    return best;
  }

  #closingMs(last: number, first: number | undefined): number {
    if (first === undefined || first === last) return 0;
    return this.#known[last]?.get(first) ?? UNKNOWN_LINK.ms;
  }

  #knownLinks(): Map<number, number>[] {
    const { links } = this;
    const ofMember = Map.groupBy(this.holders.keys(), (i) =>
      links.numberOf(this.holders[i]?.peer ?? ""),
    );
    return this.holders.map(({ peer, layerEnd }) => {
      const follows = layerEnd % this.#layerCount;
      const known = new Map<number, number>();
      links.each(peer, (member, ms) => {
        for (const i of ofMember.get(member) ?? [])
          if (this.holders[i]?.layerStart === follows) known.set(i, ms);
      });
      return known;
    });
  }
}
