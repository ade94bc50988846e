/** The messages between neighbours, and their limits. */
import type { Digest, HolderRecord } from "./records.ts";

export interface Suspicion {
  peer: string;
  /** Its newest known record when its connection was lost. */
  seq: number;
}

export interface GossipMessage {
  /** News, and answers to requests. */
  records: HolderRecord[];
  /** Digests of changes, to be passed on at once. */
  news: Digest[];
  /** Digests of renewals, or of everything. */
  have: Digest[];
  /** Ids of the holders whose records are asked for. */
  want: string[];
  suspects: Suspicion[];
  /** `have` is everything the sender has; tell it what it lacks. */
  sync: boolean;
}

/** Limits of one message; more is split into several. */
export const MESSAGE_LIMITS = Object.freeze({
  records: 64,
  digests: 10_000,
  wants: 256,
  suspects: 256,
});

export function emptyMessage(): GossipMessage {
  return {
    records: [],
    news: [],
    have: [],
    want: [],
    suspects: [],
    sync: false,
  };
}

function isEmpty(m: GossipMessage): boolean {
  const lists = [m.records, m.news, m.have, m.want, m.suspects];
  return !m.sync && lists.every((list) => list.length === 0);
}

/** One message, or several if it exceeds the limits. A list of everything stays whole. */
export function inLimits(message: GossipMessage): GossipMessage[] {
  const { records, digests, wants, suspects } = MESSAGE_LIMITS;
  const all: GossipMessage[] = [];
  let rest = message;
  while (!isEmpty(rest)) {
    all.push({
      records: rest.records.slice(0, records),
      news: rest.news.slice(0, digests),
      have: rest.have.slice(0, digests),
      want: rest.want.slice(0, wants),
      suspects: rest.suspects.slice(0, suspects),
      sync: rest.sync && rest.have.length <= digests,
    });
    rest = {
      records: rest.records.slice(records),
      news: rest.news.slice(digests),
      have: rest.have.slice(digests),
      want: rest.want.slice(wants),
      suspects: rest.suspects.slice(suspects),
      sync: false,
    };
  }
  return all;
}
