/**
 * A member's torrents: what lies in its folders is served, what it lacks is fetched, and each rendezvous knows of both. One
 * composition for nodes, seeders and `shoal get`. The bytes move in a thread with a host and a port of its own; this thread only
 * says what is wanted, and tells a rendezvous where that host is.
 */
import { join } from "node:path";
import { formatBytes, type EventSink, sleep } from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import {
  type CatalogFile,
  type Content,
  type DownloadProgress,
  type Endpoint,
  isWhole,
  listingOf,
  type Root,
  type SourceSpec,
  TorrentSync,
  type TransferStats,
  TransferThread,
} from "../torrent/index.ts";
import { VERSION } from "./version.ts";

/** What an operator may set of the transfers. */
export interface TransferFlags {
  /** TCP port that transfers are answered on; undefined: any. */
  transferPort?: number | undefined;
  /** Bytes per second; undefined is no limit. */
  uploadLimit?: number | undefined;
  downloadLimit?: number | undefined;
  /** Peers served at once. */
  uploadSlots?: number | undefined;
}

export interface TorrentsOptions extends TransferFlags {
  commands: Commands;
  events: EventSink;
  cluster: string;
  /** Multiaddrs that the member listens on: transfers listen on the same interfaces. */
  listen: readonly string[];
  /** Of the transfers' own identity; undefined: one for this run. */
  keyPath?: string | undefined;
  /** Seeded, with their folders. */
  directories: readonly string[];
  stateDir: string;
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
  /** No source had a missing piece for this long: CONTENT_UNAVAILABLE. */
  unavailableMs?: number | undefined;
  signal: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
}

/** Holders come and go: they are asked for this often while a download runs. */
const ASK_AGAIN_MS = 2_000;
/** Addresses of one endpoint that others are told. */
const ADDRESSES_TOLD = 16;

export class Torrents {
  #options: TorrentsOptions;
  #transfer: TransferThread;
  #sync: TorrentSync;
  #unsubscribe: (() => void) | undefined;
  #isStarted = false;
  #last: TransferStats | undefined;
  #isAsking = false;

  constructor(options: TorrentsOptions) {
    const { commands, events, cluster, directories, stateDir } = options;
    this.#options = options;
    this.#transfer = new TransferThread(
      {
        host: {
          keyPath: options.keyPath,
          listen: transferListen(options.listen, options.transferPort),
          version: VERSION,
        },
        store: { directories, stateDir: join(stateDir, "torrents") },
        uploadBytesPerSecond: options.uploadLimit,
        downloadBytesPerSecond: options.downloadLimit,
        uploadSlots: options.uploadSlots,
      },
      events,
    );
    this.#sync = new TorrentSync({
      commands,
      events,
      cluster,
      endpoint: () => this.endpoint(),
      listings: () => this.list().map(listingOf),
    });
  }

  /** Where transfers are answered. */
  endpoint(): Endpoint {
    const { peer, addresses } = this.#transfer.endpoint();
    return { peer, addresses: addresses.slice(0, ADDRESSES_TOLD) };
  }

  /** Listens for transfers and may fetch. Rejects PORT_IN_USE. */
  async start(): Promise<void> {
    await this.#transfer.start();
    this.#isStarted = true;
    this.#unsubscribe = this.#transfer.onChange(() => this.#sync.changed());
  }

  /** Looks through the folders, which may take as long as hashing them does; contents are served as they come. */
  async index(): Promise<void> {
    await this.#transfer.index();
  }

  /** What is here, without piece hashes. */
  list(): Content[] {
    return this.#transfer.list();
  }

  onChange(listener: () => void): () => void {
    return this.#transfer.onChange(listener);
  }

  /** Tells a rendezvous what is here, now and whenever it changes. A member that shares nothing says nothing. */
  async syncWith(rendezvous: string): Promise<void> {
    if (this.#isStarted) await this.#sync.syncWith(rendezvous);
  }

  async listFiles(): Promise<CatalogFile[]> {
    return await this.#sync.listFiles();
  }

  async whoHas(root: Root): Promise<Endpoint[]> {
    return (await this.#sync.whoHas({ root })).holders;
  }

  /** The content, at its path, verified. Resolves at once where it is there already. */
  async fetch(options: FetchOptions): Promise<string> {
    const { root, sizeBytes, path, name, kind, manifest, signal } = options;
    const held = this.#transfer.get(root);
    if (held !== undefined && isWhole(held) && held.ranges.length === 1) {
      const [range] = held.ranges;
      if (range?.path === path && range.offset === 0) return range.path;
    }
    const done = new AbortController();
    const until = AbortSignal.any([signal, done.signal]);
    let shownMs = 0;
    try {
      return await this.#transfer.download({
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
          this.#tell(name, progress);
        },
      });
    } finally {
      done.abort();
    }
  }

  async stats(): Promise<TransferStats> {
    return await this.#transfer.stats();
  }

  /** What is moving, as of a moment ago: asking it brings the next figures. Undefined before the first. */
  lastStats(): TransferStats | undefined {
    if (this.#isStarted && !this.#isAsking) void this.#ask();
    return this.#last;
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    try {
      this.#last = await this.#transfer.stats();
    } catch {
      // It is stopping, or its thread is being started again.
    } finally {
      this.#isAsking = false;
    }
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#sync.stop();
    await this.#transfer.stop();
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
}

/** The interfaces of `listen`, TCP only (torrent/transfer-thread.ts tells why), on a port of their own. */
export function transferListen(
  listen: readonly string[],
  port = 0,
): readonly string[] {
  const interfaces = listen.flatMap((address) => {
    const [, family, host] = address.split("/");
    return family === "ip4" || family === "ip6" ? [`/${family}/${host}`] : [];
  });
  return [...new Set(interfaces)].map((each) => `${each}/tcp/${port}`);
}
