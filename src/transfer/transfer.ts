/**
 * The whole transfer side of a node: its own host, the store, uploads and downloads. Tokens must not wait for bulk data, so a node runs it
 * in a thread (transfer-thread.ts) behind the same interface. Only plain data crosses.
 */
import type { EventSink } from "../lib/index.ts";
import { createHost, type Host } from "../network/index.ts";
import type { DownloadOptions } from "./download-options.ts";
import { Downloads, type DownloadStats } from "./download.ts";
import type { SourceSpec } from "./source.ts";
import {
  type StoreSummary,
  DiskStore,
  type DiskStoreOptions,
  type Content,
  type Root,
} from "../store/index.ts";
import { DEFAULTS } from "./defaults.ts";
import { Uploads, type UploadStats } from "./upload.ts";

/** Plain data: it crosses threads. */
export interface TransferOptions {
  /** Its own key and ports: peers know it by another id than the node's. */
  host: {
    keyPath?: string | undefined;
    listen: readonly string[];
    announce?: readonly string[] | undefined;
    /** Not in a thread: see transfer-thread.ts. */
    quic?: boolean | undefined;
    version?: string | undefined;
  };
  store: Omit<DiskStoreOptions, "events" | "clock">;
  uploadBytesPerSecond?: number | undefined;
  downloadBytesPerSecond?: number | undefined;
  /** Peers served at once. */
  uploadSlots?: number | undefined;
  memoryBytes?: number | undefined;
  stallMs?: number | undefined;
}

export interface TransferLimits {
  /** Undefined means no limit; a missing field keeps its limit. */
  uploadBytesPerSecond?: number | undefined;
  downloadBytesPerSecond?: number | undefined;
  uploadSlots?: number | undefined;
}

export interface TransferStats {
  uploads: UploadStats;
  downloads: DownloadStats;
  store: StoreSummary;
}

/** Where others reach a transfer. */
export interface TransferEndpoint {
  peer: string;
  addresses: string[];
}

export interface Transfer extends AsyncDisposable {
  /** Where others reach it: what SYNC_TORRENTS and announcements name. */
  endpoint(): TransferEndpoint;
  /** Listens and shares known contents. Rejects PORT_IN_USE … */
  start(): Promise<void>;
  /** Resolves when everything in the folders is hashed; contents are shared as soon as they are known. */
  index(): Promise<void>;
  /** Without their piece hashes. */
  list(): Content[];
  get(root: Root): Content | undefined;
  onChange(listener: () => void): () => void;
  download(options: DownloadOptions): Promise<string>;
  addSource(root: Root, spec: SourceSpec): void;
  setLimits(limits: TransferLimits): void;
  /** Files of this node's own shard. */
  setPrimary(paths: readonly string[]): void;
  /** Shares only with these peers; undefined means everybody. */
  setAllowed(peers: readonly string[] | undefined): void;
  stats(): Promise<TransferStats>;
  stop(): Promise<void>;
}

/** Runs in the calling thread. */
export class LocalTransfer implements Transfer {
  readonly store: DiskStore;
  readonly #host: Host;
  readonly #events: EventSink;
  readonly #uploads: Uploads;
  readonly #downloads: Downloads;
  #allowed: ReadonlySet<string> | undefined;

  private constructor(options: TransferOptions, events: EventSink, host: Host) {
    const { store, uploadBytesPerSecond, downloadBytesPerSecond } = options;
    this.#host = host;
    this.#events = events;
    this.store = new DiskStore({ ...store, events });
    this.#uploads = new Uploads({
      host,
      store: this.store,
      events,
      slots: options.uploadSlots,
      bytesPerSecond: uploadBytesPerSecond,
      allow: (peer) => this.#allowed?.has(peer) ?? true,
    });
    this.#downloads = new Downloads({
      host,
      store: this.store,
      events,
      bytesPerSecond: downloadBytesPerSecond,
      memoryBytes: options.memoryBytes,
      stallMs: options.stallMs,
      onAsked: (root, piece) => this.#uploads.expect(root, piece),
    });
  }

  static async create(
    options: TransferOptions,
    events: EventSink,
  ): Promise<LocalTransfer> {
    // The host's own events describe a node, so its addresses are reported here. The node's own host announces the contents.
    const host = await createHost({
      ...options.host,
      dhtClient: true,
      idleConnectionMs: DEFAULTS.idleConnectionMs,
    });
    return new LocalTransfer(options, events, host);
  }

  endpoint(): TransferEndpoint {
    return { peer: this.#host.peerId, addresses: this.#host.addresses() };
  }

  async start(): Promise<void> {
    this.#uploads.start();
    await this.#host.start();
    const { peer, addresses } = this.endpoint();
    this.#events.info(
      "LISTEN",
      `transfers: listening on ${addresses.length} addresses`,
      { peer, real: addresses },
    );
  }

  async index(): Promise<void> {
    await this.store.start();
  }

  list(): Content[] {
    return this.store.list();
  }

  get(root: Root): Content | undefined {
    return this.store.get(root);
  }

  onChange(listener: () => void): () => void {
    return this.store.onChange(listener);
  }

  async download(options: DownloadOptions): Promise<string> {
    return await this.#downloads.download(options);
  }

  addSource(root: Root, spec: SourceSpec): void {
    this.#downloads.addSource(root, spec);
  }

  setLimits(limits: TransferLimits): void {
    if (limits.uploadSlots !== undefined)
      this.#uploads.setLimits({ slots: limits.uploadSlots });
    if ("uploadBytesPerSecond" in limits)
      this.#uploads.setLimits({ bytesPerSecond: limits.uploadBytesPerSecond });
    if ("downloadBytesPerSecond" in limits)
      this.#downloads.setLimits({
        bytesPerSecond: limits.downloadBytesPerSecond,
      });
  }

  setPrimary(paths: readonly string[]): void {
    this.store.setPrimary(paths);
  }

  setAllowed(peers: readonly string[] | undefined): void {
    this.#allowed = peers && new Set(peers);
    this.#uploads.allowChanged();
  }

  async stats(): Promise<TransferStats> {
    return {
      uploads: this.#uploads.stats(),
      downloads: this.#downloads.stats(),
      store: this.store.summary(),
    };
  }

  async stop(): Promise<void> {
    await this.#downloads.stop();
    await this.#uploads.stop();
    await this.#host.stop();
    await this.store.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
