/** The contents that this machine shares and downloads: a transfer moves them, a catalog knows who else has them. */
import { formatBytes, type EventSink, sleep } from "../lib/index.ts";
import {
  type CatalogFile,
  type Endpoint,
  isWhole,
  type PartHolders,
  type CatalogReader,
} from "../catalog/index.ts";
import type { Content, Root } from "../store/index.ts";
import type {
  DownloadProgress,
  SourceSpec,
  Transfer,
  TransferStats,
} from "../transfer/index.ts";
import { CachedStats } from "./cached-stats.ts";
import { copyHere, liesElsewhere, liesThere } from "./reuse-local.ts";

export interface FetchOptions {
  root: Root;
  /** From the manifest, if there is one. */
  sizeBytes?: number | undefined;
  path: string;
  name: string;
  kind: "part" | "shard" | "file";
  manifest?: string | undefined;
  /** An additional source besides the members. */
  origin?: SourceSpec | undefined;
  /** No source had a missing piece for this long: CONTENT_UNAVAILABLE. */
  unavailableMs?: number | undefined;
  /** The folder is the program's own: copies the content from another local file, and replaces a different file at the path. */
  reuseLocal?: boolean | undefined;
  signal: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
}

export interface SharedFilesOptions {
  transfer: Transfer;
  catalog: CatalogReader;
  /** Another way to find holders if the catalog knows too few; reports them as they are found. Never rejects. */
  find?: (
    root: Root,
    signal: AbortSignal,
    found: (holders: readonly Endpoint[]) => void,
  ) => Promise<void>;
  events: EventSink;
}

/**
 * Holders come and go: they are searched this often while a download runs. More often at first, so that members that start together learn
 * about each other before the seeder has sent each its own copy.
 */
const ASK_AGAIN_MS = { first: 250, most: 2_000 } as const;
/** A search of the DHT asks many peers: soon if the catalog knows nobody, else now and then. */
const SEARCH_AFTER_MS = { alone: 1_000, others: 15_000 } as const;
/** Addresses of one endpoint that others are told. */
const ADDRESSES_TOLD = 16;

export class SharedFiles {
  readonly #options: SharedFilesOptions;
  readonly #stats: CachedStats;

  constructor(options: SharedFilesOptions) {
    this.#options = options;
    this.#stats = new CachedStats(() => options.transfer.stats());
  }

  /** Where transfers are answered. */
  endpoint(): Endpoint {
    const { peer, addresses } = this.#options.transfer.endpoint();
    return { peer, addresses: addresses.slice(0, ADDRESSES_TOLD) };
  }

  /** The local contents, without piece hashes. */
  list(): Content[] {
    return this.#options.transfer.list();
  }

  onChange(listener: () => void): () => void {
    return this.#options.transfer.onChange(listener);
  }

  /** Running transfers, as of a moment ago; reading requests the next figures. Undefined before the first. */
  lastStats(): TransferStats | undefined {
    return this.#stats.get();
  }

  async listFiles(): Promise<CatalogFile[]> {
    return await this.#options.catalog.listFiles();
  }

  /** The listed parts of a model, with their holders. Rejects if nobody answers. */
  async listParts(manifest: string): Promise<PartHolders[]> {
    return await this.#options.catalog.listParts(manifest);
  }

  /** Whether all of it is here and shared. */
  holds(root: Root): boolean {
    const held = this.#options.transfer.get(root);
    return held !== undefined && isWhole(held);
  }

  /** The verified content at its path. Resolves at once if it is there already. */
  async fetch(options: FetchOptions): Promise<string> {
    const { transfer } = this.#options;
    const { root, path, signal } = options;
    const before = transfer.get(root);
    if (before !== undefined && isWhole(before) && before.ranges.length === 1) {
      const [range] = before.ranges;
      if (range?.path === path && range.offset === 0) return range.path;
    }
    if (options.reuseLocal !== true)
      return await this.#download(options, signal);
    const { events } = this.#options;
    if (await liesThere(options, events)) return path;
    // The store may find it only while it is being downloaded.
    const found = new AbortController();
    const look = (): void => {
      if (liesElsewhere(transfer.get(root), options)) found.abort();
    };
    const unsubscribe = transfer.onChange(look);
    look();
    try {
      if (!found.signal.aborted)
        return await this.#download(
          options,
          AbortSignal.any([signal, found.signal]),
        );
    } catch (error) {
      if (!found.signal.aborted || signal.aborted) throw error;
    } finally {
      unsubscribe();
    }
    const held = transfer.get(root);
    if (liesElsewhere(held, options) && (await copyHere(held, options, events)))
      return path;
    return await this.#download(options, signal);
  }

  async #download(options: FetchOptions, signal: AbortSignal): Promise<string> {
    const { transfer } = this.#options;
    const { root, sizeBytes, path, name, kind, manifest } = options;
    const done = new AbortController();
    const until = AbortSignal.any([signal, done.signal]);
    let shownMs = 0;
    try {
      return await transfer.download({
        root,
        sizeBytes,
        path,
        name,
        kind,
        manifest,
        unavailableMs: options.unavailableMs,
        signal,
        sources: this.#sources(options, until),
        onProgress: (progress) => {
          options.onProgress?.(progress);
          if (performance.now() - shownMs < 1_000) return;
          shownMs = performance.now();
          this.#tell(progress);
        },
      });
    } finally {
      done.abort();
      // Removes its progress bar.
      if (shownMs > 0)
        this.#options.events.debug("TORRENT", `${name}: download stopped`, {
          what: name,
          fraction: 1,
        });
    }
  }

  /** The known holders, searched repeatedly: a download may get a source twice. */
  async *#sources(
    { root, origin }: FetchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<SourceSpec> {
    if (origin !== undefined) yield origin;
    const { catalog } = this.#options;
    const known = { holders: 0 };
    void this.#search(root, known, signal);
    let pauseMs: number = ASK_AGAIN_MS.first;
    while (!signal.aborted) {
      const { holders } = await catalog.whoHas({ root });
      known.holders = holders.length;
      for (const { peer, addresses } of holders)
        yield { kind: "peer", peerId: peer, addresses };
      await sleep(pauseMs, signal).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, ASK_AGAIN_MS.most);
    }
  }

  /** Another way, beside the catalog. Never rejects. */
  async #search(
    root: Root,
    known: { readonly holders: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { find, transfer } = this.#options;
    if (find === undefined) return;
    while (!signal.aborted) {
      const { alone, others } = SEARCH_AFTER_MS;
      const ms = known.holders === 0 ? alone : others;
      await sleep(ms, signal).catch(() => {});
      if (signal.aborted) return;
      const own = this.endpoint().peer;
      await find(root, signal, (holders) => {
        for (const { peer, addresses } of holders)
          if (peer !== own)
            transfer.addSource(root, { kind: "peer", peerId: peer, addresses });
      });
    }
  }

  #tell({
    name,
    doneBytes,
    sizeBytes,
    bytesPerSecond,
    sources,
  }: DownloadProgress): void {
    const part =
      sizeBytes === undefined || sizeBytes === 0
        ? "-"
        : `${Math.floor((100 * doneBytes) / sizeBytes)} %`;
    this.#options.events.info("TORRENT", `${name}: ${part}`, {
      what: name,
      fraction: sizeBytes ? Math.floor((1e4 * doneBytes) / sizeBytes) / 1e4 : 0,
      done: formatBytes(doneBytes),
      rate: `${formatBytes(bytesPerSecond)}/s`,
      sources,
    });
  }
}
