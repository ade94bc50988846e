/**
 * A member's torrents: what lies in its folders is served, what it lacks is fetched, and each rendezvous knows of both. One
 * composition for nodes, seeders and `shoal get`.
 */
import { join } from "node:path";
import { formatBytes, type EventSink, sleep } from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import {
  type CatalogFile,
  type DownloadStats,
  Downloads,
  type DownloadProgress,
  type Endpoint,
  isWhole,
  listingOf,
  type Root,
  type SourceSpec,
  TorrentStore,
  TorrentSync,
  Uploads,
  type UploadStats,
} from "../torrent/index.ts";

export interface TorrentsOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  cluster: string;
  /** Seeded, with their folders. */
  directories: readonly string[];
  stateDir: string;
  /** Bytes per second; undefined is no limit. */
  uploadLimit?: number | undefined;
  downloadLimit?: number | undefined;
}

export interface FetchOptions {
  root: Root;
  /** From the manifest, where there is one. */
  sizeBytes?: number | undefined;
  path: string;
  name: string;
  kind: "part" | "shard" | "file";
  manifest?: string | undefined;
  /** Where it can be had besides the members. */
  origin?: SourceSpec | undefined;
  signal: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
}

/** Holders come and go: they are asked for this often while a download runs. */
const ASK_AGAIN_MS = 2_000;

export class Torrents {
  readonly store: TorrentStore;
  #options: TorrentsOptions;
  #uploads: Uploads;
  #downloads: Downloads;
  #sync: TorrentSync;
  #unsubscribe: (() => void) | undefined;

  constructor(options: TorrentsOptions) {
    const { host, commands, events, cluster, directories, stateDir } = options;
    this.#options = options;
    this.store = new TorrentStore({
      directories,
      stateDir: join(stateDir, "torrents"),
      events,
    });
    const store = this.store;
    this.#uploads = new Uploads({
      host,
      store,
      events,
      bytesPerSecond: options.uploadLimit,
    });
    this.#downloads = new Downloads({
      host,
      store,
      events,
      bytesPerSecond: options.downloadLimit,
      onAsked: (root, piece) => this.#uploads.expect(root, piece),
    });
    this.#sync = new TorrentSync({
      commands,
      events,
      cluster,
      endpoint: () => this.#endpoint(),
      listings: () => this.store.list().map(listingOf),
    });
  }

  /** Looks through the folders, which may take as long as hashing them does. */
  async start(): Promise<void> {
    this.#uploads.start();
    await this.store.start();
    this.#unsubscribe = this.store.onChange(() => this.#sync.changed());
  }

  async syncWith(rendezvous: string): Promise<void> {
    await this.#sync.syncWith(rendezvous);
  }

  async listFiles(): Promise<CatalogFile[]> {
    return await this.#sync.listFiles();
  }

  async whoHas(root: Root): Promise<Endpoint[]> {
    return (await this.#sync.whoHas({ root })).holders;
  }

  /** Who has anything of this model. */
  async holdersOf(manifest: string): Promise<Endpoint[]> {
    return (await this.#sync.whoHas({ manifest })).holders;
  }

  /** The content, at its path, verified. Resolves at once where it is there already. */
  async fetch(options: FetchOptions): Promise<string> {
    const { root, signal, name } = options;
    const held = this.store.get(root);
    if (held !== undefined && isWhole(held) && held.ranges.length === 1) {
      const [range] = held.ranges;
      if (range?.path === options.path && range.offset === 0) return range.path;
    }
    const done = new AbortController();
    const until = AbortSignal.any([signal, done.signal]);
    let shownMs = 0;
    try {
      return await this.#downloads.download({
        ...options,
        sources: this.#sources(options, until),
        onProgress: (progress) => {
          options.onProgress?.(progress);
          if (performance.now() - shownMs < 1_000) return;
          shownMs = performance.now();
          this.#tell(name, progress);
        },
      });
    } finally {
      done.abort();
    }
  }

  /** What is moving. */
  transfers(): { uploads: UploadStats; downloads: DownloadStats } {
    return {
      uploads: this.#uploads.stats(),
      downloads: this.#downloads.stats(),
    };
  }

  stats(): { uploadedBytes: number; downloadedBytes: number } {
    return {
      uploadedBytes: this.#uploads.stats().bytes,
      downloadedBytes: this.#downloads.stats().bytes,
    };
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#sync.stop();
    await this.#downloads.stop();
    await this.#uploads.stop();
    await this.store.stop();
  }

  /** Whoever is known to have it, asked again and again: a download takes a source twice without harm. */
  async *#sources(
    { root, origin }: FetchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<SourceSpec> {
    if (origin !== undefined) yield origin;
    while (!signal.aborted) {
      for (const { peer, addresses } of await this.whoHas(root))
        yield { kind: "peer", peerId: peer, addresses };
      await sleep(ASK_AGAIN_MS, signal).catch(() => {});
    }
  }

  #tell(name: string, progress: DownloadProgress): void {
    const { doneBytes, sizeBytes, bytesPerSecond, sources } = progress;
    const part =
      sizeBytes === undefined || sizeBytes === 0
        ? "-"
        : `${Math.floor((100 * doneBytes) / sizeBytes)} %`;
    this.#options.events.info("TORRENT", `${name}: ${part}`, {
      done: formatBytes(doneBytes),
      rate: `${formatBytes(bytesPerSecond)}/s`,
      sources,
    });
  }

  #endpoint(): Endpoint {
    const { host } = this.#options;
    return { peer: host.peerId, addresses: host.addresses().slice(0, 16) };
  }
}
