/** Who has which content in one cluster. Pure state at a rendezvous, with a set of holders for each content. */
import { z } from "zod";
import type { Root } from "../store/index.ts";

/** Contents one peer may list: a model has about a hundred parts, a seeder of a hub's worth of models some thousands. */
export const MAX_CONTENTS_PER_PEER = 20_000;

export const rootSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** The endpoint of a peer's transfers: a separate host beside the one for commands. */
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
  /** False while it is still downloading. */
  whole: z.boolean(),
  /** A spare copy: it may be deleted if there are enough copies. */
  spare: z.boolean().optional(),
});
export type Listing = z.infer<typeof Listing>;

/** Properties of one holder, and of all. */
type OfHolder = "whole" | "spare";

export interface Holder extends Endpoint {
  whole: boolean;
  spare: boolean;
}

/** Contents in one answer of what is known here, holders named in it, and of each content. Endpoints are up to 8 kB. */
export const TOLD = Object.freeze({ contents: 200, peers: 64, holders: 8 });

/** Known contents, for a member that asks: `holders` are places in `peers`. */
export const Told = z.object({
  peers: z.array(Endpoint).max(TOLD.peers),
  contents: z
    .array(
      Listing.omit({ whole: true, spare: true }).extend({
        holders: z
          .array(
            z
              .number()
              .int()
              .min(0)
              .max(TOLD.peers - 1),
          )
          .max(TOLD.holders),
      }),
    )
    .max(TOLD.contents),
  /** Of all pages. */
  total: z.number().int().min(0),
});
export type Told = z.infer<typeof Told>;

export interface CatalogEntry extends Omit<Listing, OfHolder> {
  holders: Holder[];
}

interface Kept {
  listing: Omit<Listing, OfHolder>;
  /** The peer that listed it. */
  holders: Map<string, Pick<Holder, OfHolder>>;
}

export class Catalog {
  #contents = new Map<Root, Kept>();
  #byPeer = new Map<string, { endpoint: Endpoint; roots: Set<Root> }>();
  /** Different from an earlier catalog's number, such as before a restart. */
  #version = Math.floor(Math.random() * 2 ** 48);

  /** Changes with every difference. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#contents.size;
  }

  /** Accepts a peer's listings; `first` replaces what it listed before. Above the bound it returns false and accepts none. */
  put(
    peer: string,
    endpoint: Endpoint,
    listings: readonly Listing[],
    first: boolean,
  ): boolean {
    if (first || listings.length > 0) this.#version++;
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
      // The first listing of a content sets its size; another size is not believed.
      if (kept.listing.sizeBytes !== listing.sizeBytes) continue;
      // One peer may have it as an unknown file, another may know whose part it is.
      if (kept.listing.manifest === undefined) kept.listing = listing;
      kept.holders.set(peer, { whole, spare });
      this.#contents.set(listing.root, kept);
      known.roots.add(listing.root);
    }
    return true;
  }

  /** This peer's listed contents, without those whose size differs from others' listings. */
  listedBy(peer: string): number {
    return this.#byPeer.get(peer)?.roots.size ?? 0;
  }

  /** A page of the contents of peers other than `peer`, in order of the roots. */
  tell(peer: string, offset: number): Told {
    const all = [...this.#contents]
      .filter(([, { holders }]) => [...holders.keys()].some((h) => h !== peer))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const places = new Map<string, number>();
    const contents = all
      .slice(offset, offset + TOLD.contents)
      .map(([, { listing, holders }]) => {
        const named = someOf(holders, peer).flatMap((other) => {
          if (!places.has(other)) {
            if (places.size >= TOLD.peers) return [];
            places.set(other, places.size);
          }
          return places.get(other) ?? [];
        });
        return Object.assign({ holders: named }, listing);
      });
    const peers = [...places.keys()].flatMap(
      (other) => this.#byPeer.get(other)?.endpoint ?? [],
    );
    return { peers, contents, total: all.length };
  }

  /** Forgets a peer and its sole contents. */
  remove(peer: string): void {
    if (this.#byPeer.has(peer)) this.#version++;
    for (const root of this.#byPeer.get(peer)?.roots ?? []) {
      const kept = this.#contents.get(root);
      kept?.holders.delete(peer);
      if (kept?.holders.size === 0) this.#contents.delete(root);
    }
    this.#byPeer.delete(peer);
  }

  /** `except`: the member whose own listing is excluded, by the id it lists under, which differs from its transfers' id. */
  get(root: Root, except?: string): CatalogEntry | undefined {
    const kept = this.#contents.get(root);
    return kept === undefined ? undefined : this.#entry(kept, except);
  }

  /** Holders of any content of this model, by its manifest's CID. */
  holdersOf(manifest: string, except?: string): Holder[] {
    const holders = new Map<string, Holder>();
    for (const kept of this.#contents.values()) {
      if (kept.listing.manifest !== manifest) continue;
      for (const holder of this.#entry(kept, except).holders)
        holders.set(holder.peer, holder);
    }
    return [...holders.values()];
  }

  /** The listed parts of a model, in order of their roots. */
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

  #entry({ listing, holders }: Kept, except?: string): CatalogEntry {
    return {
      ...listing,
      holders: [...holders].flatMap(([peer, how]) => {
        const endpoint = this.#byPeer.get(peer)?.endpoint;
        const isMeant = endpoint !== undefined && peer !== except;
        return isMeant ? [{ ...endpoint, ...how }] : [];
      }),
    };
  }
}

/** Some holders of a content, different ones each time; whole ones first. */
function someOf(
  holders: ReadonlyMap<string, Pick<Holder, OfHolder>>,
  except: string,
): string[] {
  return [...holders]
    .filter(([peer]) => peer !== except)
    .map(([peer, { whole }]) => ({
      peer,
      order: (whole ? 0 : 1) + Math.random() / 2,
    }))
    .sort((a, b) => a.order - b.order)
    .slice(0, TOLD.holders)
    .map(({ peer }) => peer);
}
