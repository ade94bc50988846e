/** How long the links between holders take, from what both ends measured. Sparse: a member measures few links, and there may be thousands of members. */
import { ROUTING } from "./defaults.ts";
import type { Holder } from "./prediction.ts";

/** Announcements name peers by the ends of their ids. */
const CHARACTERS = 8;

export interface LinkTime {
  /** From a stage's result until the next stage has it. */
  ms: number;
  /** At least one end measured it. */
  isMeasured: boolean;
}

/** A link about which nothing is known. */
export const UNKNOWN_LINK: LinkTime = Object.freeze({
  ms: oneWayMs(ROUTING.unknownRoundTripMs),
  isMeasured: false,
});
const SAME_NODE: LinkTime = Object.freeze({
  ms: ROUTING.sameNodeMs,
  isMeasured: true,
});

interface Edge {
  to: number;
  roundTripMs: number;
}

export class LinkTimes {
  readonly #numbers = new Map<string, number>();
  /** Of each member (a number): whom it measured, and who measured it. */
  readonly #edges: Edge[][] = [];
  /** Used again for each member: its round trips, Infinity where nothing is known, and where something is. */
  #roundTrips = new Float64Array();
  readonly #touched: number[] = [];

  constructor(holders: readonly Holder[]) {
    const measured = new Map<string, Holder>();
    for (const holder of holders) measured.set(endOf(holder.peer), holder);
    for (const [end, holder] of measured) this.#add(end, holder);
    // Only now what others measured: the own measurements come first.
    for (const [from, edges] of this.#edges.entries())
      for (const { to, roundTripMs } of edges)
        this.#join(to, from, roundTripMs);
    for (const edges of this.#edges)
      edges.sort((a, b) => a.roundTripMs - b.roundTripMs);
  }

  between(from: string, to: string): LinkTime {
    const [here, there] = [this.numberOf(from), this.numberOf(to)];
    if (here === undefined || there === undefined) return UNKNOWN_LINK;
    if (here === there) return SAME_NODE;
    const direct = this.#edges[here]?.find((edge) => edge.to === there);
    if (direct !== undefined)
      return { ms: oneWayMs(direct.roundTripMs), isMeasured: true };
    const { roundTrips } = this.#around(here);
    const roundTripMs = roundTrips[there] ?? Infinity;
    this.#forget();
    return roundTripMs === Infinity
      ? UNKNOWN_LINK
      : { ms: oneWayMs(roundTripMs), isMeasured: false };
  }

  /** Calls `visit` with each member, by its number, of which something is known; all others are an UNKNOWN_LINK away. */
  each(from: string, visit: (member: number, ms: number) => void): void {
    const here = this.numberOf(from);
    if (here === undefined) return;
    const { roundTrips, touched } = this.#around(here);
    for (const { to, roundTripMs } of this.#edges[here] ?? [])
      roundTrips[to] = roundTripMs;
    for (const member of touched)
      if (member !== here) visit(member, oneWayMs(roundTrips[member] ?? 0));
    this.#forget();
    visit(here, SAME_NODE.ms);
  }

  /** Over a third member that both have measured: never less than the direct way takes. */
  #around(here: number): { roundTrips: Float64Array; touched: number[] } {
    if (this.#roundTrips.length < this.#edges.length)
      this.#roundTrips = new Float64Array(this.#edges.length).fill(Infinity);
    const roundTrips = this.#roundTrips;
    const touched = this.#touched;
    const reach = (to: number, roundTripMs: number): void => {
      const known = roundTrips[to] ?? Infinity;
      if (known === Infinity) touched.push(to);
      if (roundTripMs < known) roundTrips[to] = roundTripMs;
    };
    for (const [i, near] of (this.#edges[here] ?? []).entries()) {
      reach(near.to, near.roundTripMs);
      if (i < ROUTING.linksAround)
        for (const far of this.#edges[near.to] ?? [])
          reach(far.to, near.roundTripMs + far.roundTripMs);
    }
    return { roundTrips, touched };
  }

  #forget(): void {
    for (const member of this.#touched) this.#roundTrips[member] = Infinity;
    this.#touched.length = 0;
  }

  numberOf(peer: string): number | undefined {
    return this.#numbers.get(endOf(peer));
  }

  #number(end: string): number {
    const known = this.#numbers.get(end);
    if (known !== undefined) return known;
    this.#edges.push([]);
    this.#numbers.set(end, this.#edges.length - 1);
    return this.#edges.length - 1;
  }

  #add(end: string, { links = [], roundTripsMs = [] }: Holder): void {
    const from = this.#number(end);
    for (const [i, link] of links.entries()) {
      const roundTripMs = roundTripsMs[i];
      if (typeof roundTripMs === "number" && roundTripMs > 0)
        this.#join(from, this.#number(link), roundTripMs);
    }
  }

  /** Where both ends measured, the longer time counts: nobody makes a link short alone. */
  #join(from: number, to: number, roundTripMs: number): void {
    const edges = this.#edges[from];
    if (edges === undefined || from === to) return;
    const known = edges.find((edge) => edge.to === to);
    if (known !== undefined)
      known.roundTripMs = Math.max(known.roundTripMs, roundTripMs);
    else if (edges.length < ROUTING.linksPerMember)
      edges.push({ to, roundTripMs });
  }
}

function endOf(peer: string): string {
  return peer.slice(-CHARACTERS);
}

function oneWayMs(roundTripMs: number): number {
  const { leastRoundTripMs, mostRoundTripMs, hopMs } = ROUTING;
  const bounded = Math.min(
    mostRoundTripMs,
    Math.max(leastRoundTripMs, roundTripMs),
  );
  return hopMs + bounded / 2;
}
