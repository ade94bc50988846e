/**
 * How far the clocks of other machines are from this one's. Nothing in a cluster depends on that: records travel with their age. But people
 * compare logs, TLS refuses a certificate of more than an hour ahead, and a wrong clock is easily set once somebody knows.
 */
import { formatDuration } from "../lib/index.ts";

export const CLOCKS = Object.freeze({
  /** Less is no news: people do not see it, and what was heard may have been on its way for seconds. */
  offMs: 30_000,
  /** Three renewals and a lost connection. */
  rememberMs: 90_000,
  /** As many as records of a cluster. */
  most: 10_000,
  /** Named in one line. */
  named: 3,
});

export interface ClockVerdict {
  /** Of this machine, where most others agree with each other and not with it. Positive is ahead. */
  own: number | undefined;
  /** Of others, the furthest off first. Where there are only two machines, either may be wrong. */
  others: { peer: string; aheadMs: number }[];
  /** Machines that were heard of. */
  heard: number;
}

interface Heard {
  /** Their clock minus this process's steady one. */
  offsetMs: number;
  atMs: number;
}

/** Pure: `nowMs` is of a steady clock, `wallMs` what this machine's says at the same moment. */
export class Clocks {
  readonly #heard = new Map<string, Heard>();

  /** `peer` read `theirMs` when the steady clock here was at `atMs`. */
  heard(peer: string, theirMs: number, atMs: number): void {
    if ((this.#heard.get(peer)?.atMs ?? -Infinity) > atMs) return;
    this.#heard.delete(peer);
    this.#heard.set(peer, { offsetMs: theirMs - atMs, atMs });
    const [oldest] = this.#heard.keys();
    if (this.#heard.size > CLOCKS.most && oldest !== undefined)
      this.#heard.delete(oldest);
  }

  /** `peer` lives on; had its clock been set, it would have told. */
  keep(peer: string, atMs: number): void {
    const heard = this.#heard.get(peer);
    if (heard !== undefined) heard.atMs = Math.max(heard.atMs, atMs);
  }

  /** Undefined if nothing was heard lately. */
  aheadMs(peer: string, nowMs: number, wallMs: number): number | undefined {
    const heard = this.#heard.get(peer);
    if (heard === undefined || heard.atMs + CLOCKS.rememberMs <= nowMs)
      return undefined;
    return Math.round(heard.offsetMs + nowMs - wallMs);
  }

  verdict(nowMs: number, wallMs: number): ClockVerdict {
    const all: ClockVerdict["others"] = [];
    for (const peer of this.#heard.keys()) {
      const aheadMs = this.aheadMs(peer, nowMs, wallMs);
      if (aheadMs === undefined) this.#heard.delete(peer);
      else all.push({ peer, aheadMs });
    }
    const heard = all.length;
    const off = all.filter(({ aheadMs }) => isOff(aheadMs));
    const agreed = medianOf(off.map(({ aheadMs }) => aheadMs));
    const agree = off.filter(({ aheadMs }) => !isOff(aheadMs - agreed));
    // This machine is one of them.
    const isOwn = agree.length > (heard + 1) / 2;
    const others = isOwn
      ? all
          .map(({ peer, aheadMs }) => ({ peer, aheadMs: aheadMs - agreed }))
          .filter(({ aheadMs }) => isOff(aheadMs))
      : off;
    others.sort((a, b) => Math.abs(b.aheadMs) - Math.abs(a.aheadMs));
    return { own: isOwn ? -agreed : undefined, others, heard };
  }
}

/** In one line; `self` is how this machine is called. Undefined if all agree. */
export function clocksText(
  { own, others, heard }: ClockVerdict,
  self: string,
): string | undefined {
  if (own !== undefined)
    return `the clock of ${self} is ${apart(own)} ${own > 0 ? "ahead of" : "behind"} those of the others`;
  const [first] = others;
  if (first === undefined) return undefined;
  if (heard === 1)
    return `the clocks of ${self} and ${nameOf(first.peer)} are ${apart(first.aheadMs)} apart: ${first.aheadMs < 0 ? "the first" : "the second"} is ahead`;
  const named = others
    .slice(0, CLOCKS.named)
    .map(({ peer, aheadMs }) => `${nameOf(peer)} by ${side(aheadMs)}`);
  const more = others.length - named.length;
  if (more > 0) named.push(`${more} more`);
  return `${others.length === 1 ? "a clock is" : "clocks are"} off: ${named.join(", ")}`;
}

export function isOff(aheadMs: number): boolean {
  return Math.abs(aheadMs) > CLOCKS.offMs;
}

/** "5 min 0 s ahead" */
export function side(aheadMs: number): string {
  return `${apart(aheadMs)} ${aheadMs > 0 ? "ahead" : "behind"}`;
}

function apart(ms: number): string {
  return formatDuration(Math.round(Math.abs(ms) / 1000) * 1000);
}

function nameOf(peer: string): string {
  return `…${peer.slice(-8)}`;
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
