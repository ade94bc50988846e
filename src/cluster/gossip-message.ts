/** The messages between neighbours, and their limits. */
import type { Digest, HolderRecord } from "./records.ts";
import type { Renewed } from "./renewal.ts";

export interface Suspicion {
  peer: string;
  /** Its newest known record when its connection was lost. */
  seq: number;
}

/** A record is still true. */
export interface Renewal extends Renewed {
  /** The holder. */
  id: string;
  /** The end of the record's number (`lowOf`): who has another record of this holder ignores the renewal. */
  low: number;
  /** When it was told, by this process's own clock. */
  bornMs: number;
}

/** A record in a list of everything. */
export interface Listed {
  /** The beginning of the holder's id (`prefixOf`). */
  prefix: number;
  low: number;
  step: number;
}

export interface GossipMessage {
  /** Whole: of new holders, and answers to requests. */
  records: HolderRecord[];
  /** Records as the difference from what they replaced. */
  changes: HolderRecord[];
  renewals: Renewal[];
  /** Digests of changes, to be passed on at once. */
  news: Digest[];
  /** Digests of what the receiver may lack. */
  have: Digest[];
  /** The holders whose records are asked for, with the number of what is known of them, or 0. */
  want: Digest[];
  /** Prefixes of holders: tell me more of what you listed. */
  ask: number[];
  suspects: Suspicion[];
  /** Everything the sender has; tell it what it lacks. */
  sync: Listed[] | undefined;
}

/** Limits of one message; more is split into several. */
export const MESSAGE_LIMITS = Object.freeze({
  records: 64,
  digests: 10_000,
  renewals: 10_000,
  wants: 256,
  suspects: 256,
});

const EMPTY: GossipMessage = Object.freeze({
  records: [],
  changes: [],
  renewals: [],
  news: [],
  have: [],
  want: [],
  ask: [],
  suspects: [],
  sync: undefined,
});

export function emptyMessage(): GossipMessage {
  return cut(EMPTY, () => []);
}

/** It says nothing; that somebody has nothing is something. */
export function isEmpty({ sync, ...lists }: GossipMessage): boolean {
  if (sync !== undefined) return false;
  return Object.values(lists).every((list) => list.length === 0);
}

/** One message, or several if it exceeds the limits. A list of everything stays whole. */
export function inLimits(message: GossipMessage): GossipMessage[] {
  const all: GossipMessage[] = [];
  for (let rest = message; !isEmpty(rest);) {
    all.push({
      ...cut(rest, (list, most) => list.slice(0, most)),
      sync: rest.sync?.slice(0, MESSAGE_LIMITS.digests),
    });
    rest = cut(rest, (list, most) => list.slice(most));
  }
  return all;
}

function cut(
  m: GossipMessage,
  of: <T>(list: T[], most: number) => T[],
): GossipMessage {
  const { records, digests, renewals, wants, suspects } = MESSAGE_LIMITS;
  return {
    records: of(m.records, records),
    changes: of(m.changes, records),
    renewals: of(m.renewals, renewals),
    news: of(m.news, digests),
    have: of(m.have, digests),
    want: of(m.want, wants),
    ask: of(m.ask, digests),
    suspects: of(m.suspects, suspects),
    sync: undefined,
  };
}
