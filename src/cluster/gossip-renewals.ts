/** Renewals on their way: checked, kept, and passed on once. */
import { LINKS } from "./announcement.ts";
import { lowOf, renewalOf } from "./gossip-lists.ts";
import type { Renewal } from "./gossip-message.ts";
import type { GossipNeighbours } from "./gossip-neighbours.ts";
import {
  type ClusterRecords,
  type HolderRecord,
  renewedOf,
} from "./records.ts";
import type { Refusals } from "./refusals.ts";
import type { proves } from "./renewal.ts";

/** Neighbours that each renewal is passed on to. Two reach four of five members; the exchange of everything, the others. */
const FANOUT = 2;

export interface GossipRenewalsOptions {
  records: ClusterRecords;
  refusals: Refusals;
  proves: typeof proves;
  /** This node tells all its neighbours of its own renewals at once. */
  isDirect: (neighbours: GossipNeighbours) => boolean;
}

export class GossipRenewals {
  readonly #options: GossipRenewalsOptions;
  /** With those that have it already. */
  readonly #pending = new Map<
    string,
    { renewal: Renewal; told: readonly string[]; links: readonly string[] }
  >();

  constructor(options: GossipRenewalsOptions) {
    this.#options = options;
  }

  /** This node renewed its own record. */
  own(record: HolderRecord, neighbours: GossipNeighbours): void {
    const renewal = renewalOf(record);
    if (renewal === undefined) return;
    if (this.#options.isDirect(neighbours))
      for (const peer of neighbours.peers)
        neighbours.to(peer)?.renewals.push(renewal);
    else this.#pending.set(renewal.id, { renewal, told: [], links: [] });
  }

  take(from: string, renewals: readonly Renewal[], nowMs: number): void {
    const { records, refusals, proves: isProof } = this.#options;
    for (const renewal of renewals) {
      const { id, low, step, value, bornMs } = renewal;
      const record = records.get(id);
      if (record === undefined) continue;
      const { seq, ttlMs, links = [], peer } = record.announcement;
      const known = renewedOf(record);
      // Of another record, or old: nothing is wrong with that.
      if (known === undefined || lowOf(seq) !== low || step <= known.step)
        continue;
      if (bornMs + ttlMs <= nowMs) continue;
      if (!isProof(id, known, { step, value })) {
        refusals.add("renewal");
        return; // an honest neighbour checks what it passes on: the rest costs no arithmetic
      }
      const laterMs = Math.max(bornMs, record.bornMs);
      records.renew(id, { step, value }, laterMs);
      this.#pending.set(id, {
        renewal: { ...renewal, bornMs: laterMs },
        told: [from, peer],
        // The holder told these itself; one with more neighbours than it names is unknown in this respect.
        links: links.length < LINKS.max ? links : [],
      });
    }
  }

  /** Passes on what came since the last time, to the first of `peers`. */
  flush(peers: readonly string[], neighbours: GossipNeighbours): void {
    for (const peer of peers.slice(0, FANOUT)) {
      const out = neighbours.to(peer);
      const link = peer.slice(-LINKS.characters);
      for (const { renewal, told, links } of this.#pending.values())
        if (!told.includes(peer) && !links.includes(link))
          out?.renewals.push(renewal);
    }
    this.#pending.clear();
  }
}
