/** The rendezvous' catalog service: accepts members' listings and answers who has what. Forgets a member when its connection ends. */
import { type EventSink, ShoalError } from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import {
  Catalog,
  type CatalogEntry,
  type Endpoint,
  type Holder,
  type Listing,
} from "./catalog.ts";
import {
  type CatalogFile,
  HOLDERS_PER_ANSWER,
  LIST_FILES,
  LIST_PARTS,
  LISTINGS_PER_MESSAGE,
  type PartHolders,
  PARTS_PER_MESSAGE,
  SYNC_TORRENTS,
  WHO_HAS,
} from "./protocol.ts";
import type { CatalogReader } from "./sync.ts";
import type { Root } from "../store/index.ts";

/** As members wait for changes to settle before they report. */
const SETTLE_MS = 500;

/** A bound on what strangers can make a rendezvous keep. */
const MAX_CLUSTERS = 1_000;

export interface CatalogServiceOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
}

export class CatalogService {
  #options: CatalogServiceOptions;
  #catalogs = new Map<string, Catalog>();
  #unsubscribe: (() => void) | undefined;

  constructor(options: CatalogServiceOptions) {
    this.#options = options;
  }

  start(): void {
    const { commands, host, events } = this.#options;
    commands.handle(
      SYNC_TORRENTS.name,
      SYNC_TORRENTS.params,
      ({ cluster, endpoint, first, contents, tell }, { peer }) => {
        const catalog = this.#catalog(cluster);
        if (!catalog.put(peer, endpoint, contents, first)) {
          throw new ShoalError(
            "CLUSTER_FULL",
            "a member lists too many contents",
            { peer },
          );
        }
        if (first)
          events.info(
            "TORRENT_SYNC",
            `a member lists ${contents.length} contents`,
            { cluster, peer, known: catalog.size },
          );
        const { version, size: known } = catalog;
        const told =
          tell === null || tell.unless === version
            ? null
            : catalog.tell(peer, tell.offset);
        return { listed: catalog.listedBy(peer), known, version, told };
      },
    );
    commands.handle(
      WHO_HAS.name,
      WHO_HAS.params,
      ({ cluster, of }, { peer }) => {
        const { entry, holders } = this.#whoHas(cluster, of, peer);
        return {
          sizeBytes: entry?.sizeBytes ?? null,
          name: entry?.name ?? null,
          holders,
        };
      },
    );
    commands.handle(
      LIST_FILES.name,
      LIST_FILES.params,
      ({ cluster, offset }) => {
        const entries = this.#catalogs.get(cluster)?.list() ?? [];
        const files = entries
          .slice(offset, offset + LISTINGS_PER_MESSAGE)
          .map(summary);
        return { files, total: entries.length };
      },
    );
    commands.handle(
      LIST_PARTS.name,
      LIST_PARTS.params,
      ({ cluster, manifest, offset }) => {
        const all = this.#catalogs.get(cluster)?.partsOf(manifest) ?? [];
        const page = all.slice(offset, offset + PARTS_PER_MESSAGE);
        return { parts: page.map(withHolders), total: all.length };
      },
    );
    this.#unsubscribe = host.onPeer(({ type, peer }) => {
      if (type !== "disconnected") return;
      for (const [name, catalog] of this.#catalogs) {
        catalog.remove(peer);
        if (catalog.size === 0) this.#catalogs.delete(name);
      }
    });
  }

  stop(): void {
    this.#unsubscribe?.();
  }

  /** What is listed in all clusters, for the status. */
  list(): CatalogEntry[] {
    return [...this.#catalogs.values()].flatMap((catalog) => catalog.list());
  }

  /** One cluster's catalog as this process uses it itself: it lists its own contents and asks nobody. */
  local(
    cluster: string,
    own: {
      peer: string;
      endpoint: () => Endpoint;
      listings: () => readonly Listing[];
    },
  ): CatalogReader {
    let timer: NodeJS.Timeout | undefined;
    const list = (): void => {
      timer = undefined;
      this.#catalog(cluster).put(
        own.peer,
        own.endpoint(),
        own.listings(),
        true,
      );
    };
    return {
      whoHas: async (of) => {
        const { entry, holders } = this.#whoHas(cluster, of, own.peer);
        return { sizeBytes: entry?.sizeBytes, holders };
      },
      listFiles: async () =>
        (this.#catalogs.get(cluster)?.list() ?? []).map(summary),
      listParts: async (manifest) =>
        (this.#catalogs.get(cluster)?.partsOf(manifest) ?? []).map(withHolders),
      changed: () => {
        timer ??= setTimeout(list, SETTLE_MS);
      },
      stop: async () => {
        clearTimeout(timer);
        this.#catalogs.get(cluster)?.remove(own.peer);
      },
    };
  }

  #whoHas(
    cluster: string,
    of: { root: Root } | { manifest: string },
    asker: string,
  ): { entry: CatalogEntry | undefined; holders: Holder[] } {
    const catalog = this.#catalogs.get(cluster);
    const entry = "root" in of ? catalog?.get(of.root, asker) : undefined;
    const known =
      "root" in of ? entry?.holders : catalog?.holdersOf(of.manifest, asker);
    return { entry, holders: someOf(known ?? []) };
  }

  #catalog(cluster: string): Catalog {
    let catalog = this.#catalogs.get(cluster);
    if (catalog !== undefined) return catalog;
    if (this.#catalogs.size >= MAX_CLUSTERS)
      throw new ShoalError(
        "CLUSTER_FULL",
        "this rendezvous has no room for more clusters",
      );
    catalog = new Catalog();
    this.#catalogs.set(cluster, catalog);
    return catalog;
  }
}

function summary({ holders, ...entry }: CatalogEntry): CatalogFile {
  return {
    ...entry,
    holders: holders.length,
    wholeHolders: holders.filter((holder) => holder.whole).length,
  };
}

function withHolders(entry: CatalogEntry): PartHolders {
  const { root, sizeBytes, name } = entry;
  const holders = entry.holders
    .toSorted((a, b) => Number(b.whole) - Number(a.whole))
    .slice(0, HOLDERS_PER_ANSWER)
    .map(({ peer, whole, spare }) => ({ peer, whole, spare }));
  return { root, sizeBytes, name, holders };
}

/** All, or a random choice with whole ones first, so that requests spread over the holders. */
function someOf(holders: readonly Holder[]): Holder[] {
  return holders
    .map((holder) => ({
      holder,
      order: (holder.whole ? 0 : 1) + Math.random() * 0.5,
    }))
    .sort((a, b) => a.order - b.order)
    .slice(0, HOLDERS_PER_ANSWER)
    .map(({ holder }) => holder);
}
