/**
 * Members whose connection was lost without a goodbye, and their addresses. Their records are dropped at once, but they may live on the
 * other side of a cut network. So they are searched for: without a rendezvous nobody else would reconnect the two sides, and nobody
 * searches for a member that holds nothing (a gateway). Pure: the time comes in, dials go out.
 */
import { backoffMs } from "../lib/index.ts";

export const LOST = Object.freeze({
  /** Delay before the first search: most connections are lost only for a moment. */
  retryInitialMs: 500,
  /** A dead node is searched for less and less often, as is one that was cut off for long. */
  retryMaxMs: 5 * 60_000,
  /** A member without neighbours searches as often as for a lost bootstrap. */
  aloneMs: 10_000,
  /** A member that was away for longer comes back through a rendezvous. */
  rememberMs: 60 * 60_000,
  /** Several times a member's neighbours. Beyond this the longest lost is forgotten. */
  most: 64,
  dialMs: 5_000,
  /** Dials at once. */
  dials: 4,
});

export interface LostMember {
  peer: string;
  addresses: readonly string[];
}

interface Lost extends LostMember {
  sinceMs: number;
  attempt: number;
  triedMs: number;
  nextMs: number;
}

export interface LostMembersOptions {
  /** Resolves once it is connected, or rejects. */
  dial: (member: LostMember) => Promise<unknown>;
  /** In [0, 1). */
  random: () => number;
}

export class LostMembers {
  readonly #options: LostMembersOptions;
  readonly #lost = new Map<string, Lost>();
  #dialing = 0;

  constructor(options: LostMembersOptions) {
    this.#options = options;
  }

  add(member: LostMember, nowMs: number): void {
    const { peer } = member;
    const nextMs = nowMs + this.#waitMs(0);
    this.#lost.delete(peer);
    this.#lost.set(peer, {
      ...member,
      sinceMs: nowMs,
      attempt: 0,
      triedMs: nowMs,
      nextMs,
    });
    const [longest] = this.#lost.keys();
    if (this.#lost.size > LOST.most && longest !== undefined)
      this.#lost.delete(longest);
  }

  /** It is connected. Returns whether it was lost; then others may be back too. */
  found(peer: string, nowMs: number): boolean {
    if (!this.#lost.delete(peer)) return false;
    this.hurry(nowMs);
    return true;
  }

  /** It said goodbye. */
  forget(peer: string): void {
    this.#lost.delete(peer);
  }

  /** There is a sign that the network is back. */
  hurry(nowMs: number): void {
    for (const lost of this.#lost.values()) {
      lost.attempt = 0;
      lost.nextMs = Math.min(lost.nextMs, nowMs + this.#waitMs(0));
    }
  }

  /** Dials the members that are due. Call it about once a second. `isAlone`: this node has no neighbour. */
  tick(nowMs: number, isAlone: boolean): void {
    for (const [peer, lost] of this.#lost) {
      if (nowMs - lost.sinceMs > LOST.rememberMs) this.#lost.delete(peer);
      else if (this.#dialing < LOST.dials && isDue(lost, nowMs, isAlone)) {
        lost.triedMs = nowMs;
        lost.nextMs = nowMs + this.#waitMs(++lost.attempt);
        void this.#dial({ peer, addresses: lost.addresses });
      }
    }
  }

  /** The connection itself reports success. */
  async #dial(member: LostMember): Promise<void> {
    this.#dialing++;
    try {
      await this.#options.dial(member);
    } catch {
      // The next attempt may succeed.
    } finally {
      this.#dialing--;
    }
  }

  #waitMs(attempt: number): number {
    return backoffMs(attempt, {
      initialMs: LOST.retryInitialMs,
      maxMs: LOST.retryMaxMs,
      random: this.#options.random,
    });
  }
}

function isDue(
  { nextMs, triedMs }: Lost,
  nowMs: number,
  isAlone: boolean,
): boolean {
  return nextMs <= nowMs || (isAlone && triedMs + LOST.aloneMs <= nowMs);
}
