/** Who has which content, in one cluster. Pure state, kept by a rendezvous; sets of holders, since any content has several. */
import { z } from "zod";
import type { Root } from "./types.ts";

/** Contents one peer may list: a model has about a hundred parts, a seeder of a hub's worth of models some thousands. */
export const MAX_CONTENTS_PER_PEER = 20_000;

export const rootSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** Where a peer's transfers are answered: a host of its own, beside the one for commands. */
export const Endpoint = z.object({
  peer: z.string().min(1).max(128),
  addresses: z.array(z.string().max(512)).max(16),
});
export type Endpoint = z.infer<typeof Endpoint>;

export const Listing = z.object({
  root: rootSchema,
  sizeBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  kind: z.enum(["part", "shard", "file"]),
  /** For people; holders may call the same bytes differently. */
  name: z.string().max(256),
  manifest: z.string().max(128).optional(),
  /** False while some of it is still coming. */
  whole: z.boolean(),
  /** Kept for others, on spare disk: it may go again where there are enough copies. */
  spare: z.boolean().optional(),
});
export type Listing = z.infer<typeof Listing>;

/** What holds for one holder, and what for all. */
type OfHolder = "whole" | "spare";

export interface Holder extends Endpoint {
  whole: boolean;
  spare: boolean;
}

export interface CatalogEntry extends Omit<Listing, OfHolder> {
  holders: Holder[];
}

interface Kept {
  listing: Omit<Listing, OfHolder>;
  /** By the peer that listed it. */
  holders: Map<string, Pick<Holder, OfHolder>>;
}

export class Catalog {
  #contents = new Map<Root, Kept>();
  #byPeer = new Map<string, { endpoint: Endpoint; roots: Set<Root> }>();

  get size(): number {
    return this.#contents.size;
  }

  /** Takes a peer's listings; `first` forgets what it listed before. Returns false, and takes none, over the bound. */
  put(
    peer: string,
    endpoint: Endpoint,
    listings: readonly Listing[],
    first: boolean,
  ): boolean {
    if (first) this.remove(peer);
    const known = this.#byPeer.get(peer) ?? {
      endpoint,
      roots: new Set<Root>(),
    };
    if (known.roots.size + listings.length > MAX_CONTENTS_PER_PEER)
      return false;
    known.endpoint = endpoint;
    this.#byPeer.set(peer, known);
    for (const { whole, spare = false, ...listing } of listings) {
      const kept: Kept = this.#contents.get(listing.root) ?? {
        listing,
        holders: new Map(),
      };
      // The first to list a content says its size; who says another one is not believed.
      if (kept.listing.sizeBytes !== listing.sizeBytes) continue;
      // One may have it as a file of no model, another know whose part it is.
      if (kept.listing.manifest === undefined) kept.listing = listing;
      kept.holders.set(peer, { whole, spare });
      this.#contents.set(listing.root, kept);
      known.roots.add(listing.root);
    }
    return true;
  }

  /** Forgets a peer and what only it had. */
  remove(peer: string): void {
    for (const root of this.#byPeer.get(peer)?.roots ?? []) {
      const kept = this.#contents.get(root);
      kept?.holders.delete(peer);
      if (kept?.holders.size === 0) this.#contents.delete(root);
    }
    this.#byPeer.delete(peer);
  }

  get(root: Root): CatalogEntry | undefined {
    const kept = this.#contents.get(root);
    return kept === undefined ? undefined : this.#entry(kept);
  }

  /** Who lists any content of this model, by its manifest's CID. */
  holdersOf(manifest: string): Holder[] {
    const holders = new Map<string, Holder>();
    for (const kept of this.#contents.values()) {
      if (kept.listing.manifest !== manifest) continue;
      for (const holder of this.#entry(kept).holders)
        holders.set(holder.peer, holder);
    }
    return [...holders.values()];
  }

  /** The parts of a model that anybody lists, in order of their roots. */
  partsOf(manifest: string): CatalogEntry[] {
    return [...this.#contents.values()]
      .filter(
        ({ listing }) =>
          listing.kind === "part" && listing.manifest === manifest,
      )
      .map((kept) => this.#entry(kept))
      .sort((a, b) => (a.root < b.root ? -1 : 1));
  }

  /** In order of name, then root. */
  list(): CatalogEntry[] {
    return [...this.#contents.values()]
      .map((kept) => this.#entry(kept))
      .sort(
        (a, b) => a.name.localeCompare(b.name) || a.root.localeCompare(b.root),
      );
  }

  #entry({ listing, holders }: Kept): CatalogEntry {
    return {
      ...listing,
      holders: [...holders].flatMap(([peer, how]) => {
        const endpoint = this.#byPeer.get(peer)?.endpoint;
        return endpoint === undefined ? [] : [{ ...endpoint, ...how }];
      }),
    };
  }
}
