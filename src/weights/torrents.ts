/**
 * A member's contents: it shares the files of its folders, downloads what it lacks, and lists both at each rendezvous. One composition for
 * nodes, seeders and `shoal get`. The bytes move in a thread with its own host and port; this thread only says what is wanted, and tells a
 * rendezvous where that host is.
 */
import { join, resolve, sep } from "node:path";
import {
  type EventSink,
  isShoalError,
  ShoalError,
  VERSION,
} from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import {
  type CatalogFile,
  type Endpoint,
  type Listing,
  listingOf,
  type PartHolders,
  TorrentSync,
} from "../catalog/index.ts";
import type { Content, Root } from "../store/index.ts";
import { type TransferStats, TransferThread } from "../transfer/index.ts";
import { type ContentsHost, DhtContents } from "./dht-contents.ts";
import { Fetcher, type FetchOptions } from "./fetcher.ts";

/** The operator's settings for transfers. */
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
  host: ContentsHost;
  commands: Commands;
  events: EventSink;
  cluster: string;
  /** Multiaddrs that the member listens on: transfers listen on the same interfaces. */
  listen: readonly string[];
  /** Of the transfers' own identity; undefined: one for this run. */
  keyPath?: string | undefined;
  /** Seeded, with their folders. */
  directories: readonly string[];
  /** One of them, with the spare copies. */
  spareDir?: string | undefined;
  stateDir: string;
}

export class Torrents {
  #events: EventSink;
  #transfer: TransferThread;
  #sync: TorrentSync;
  #fetcher: Fetcher;
  #dht: DhtContents;
  #unsubscribe: (() => void) | undefined;
  #isStarted = false;
  #isIndexed = false;
  #last: TransferStats | undefined;
  #isAsking = false;

  constructor(options: TorrentsOptions) {
    const { commands, events, cluster, directories, stateDir } = options;
    this.#events = events;
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
      listings: () => listingsOf(this.list(), options.spareDir),
    });
    this.#fetcher = new Fetcher({
      transfer: this.#transfer,
      index: this.#sync,
      find: (root, signal, found) => this.#dht.find(root, signal, found),
      events,
    });
    this.#dht = new DhtContents({
      host: options.host,
      commands,
      events,
      cluster,
      list: () => this.list(),
      endpoint: () => this.endpoint(),
      remembered: (root) => this.#sync.remembered(root),
    });
  }

  /** Where transfers are answered. */
  endpoint(): Endpoint {
    return this.#fetcher.endpoint();
  }

  /** Listens for transfers; downloads may start. Rejects PORT_IN_USE. */
  async start(): Promise<void> {
    await this.#transfer.start();
    this.#isStarted = true;
    this.#unsubscribe = this.#transfer.onChange(() => {
      this.#sync.changed();
      this.#dht.changed();
    });
    this.#dht.start();
  }

  /** Scans the folders, which may take as long as hashing them; contents are shared as soon as they are known. */
  async index(): Promise<void> {
    await this.#transfer.index();
    this.#isIndexed = true;
  }

  /** True once everything present in the folders at the start was scanned. */
  isIndexed(): boolean {
    return this.#isIndexed;
  }

  /** Whether all of it is here and shared. */
  holds(root: Root): boolean {
    return this.#fetcher.holds(root);
  }

  /** Files of this node's own shards, counted separately. */
  setPrimary(paths: readonly string[]): void {
    this.#transfer.setPrimary(paths);
  }

  /** The local contents, without piece hashes. */
  list(): Content[] {
    return this.#transfer.list();
  }

  onChange(listener: () => void): () => void {
    return this.#transfer.onChange(listener);
  }

  /** Lists the local contents at a rendezvous, now and after changes. A member that shares nothing lists nothing. */
  async syncWith(rendezvous: string): Promise<void> {
    if (!this.#isStarted) return;
    try {
      await this.#sync.syncWith(rendezvous);
    } catch (error) {
      // A member, not a rendezvous: it has no catalog.
      if (!isShoalError(error, "COMMAND_UNKNOWN")) throw error;
    }
  }

  async listFiles(): Promise<CatalogFile[]> {
    return await this.#sync.listFiles();
  }

  /** The listed parts of a model, with their holders. Rejects if nobody answers. */
  async listParts(manifest: string): Promise<PartHolders[]> {
    return await this.#sync.listParts(manifest);
  }

  /** The verified content at its path. Resolves at once if it is there already. */
  async fetch(options: FetchOptions): Promise<string> {
    return await this.#fetcher.fetch(options);
  }

  async stats(): Promise<TransferStats> {
    return await this.#transfer.stats();
  }

  /** Running transfers, as of a moment ago; reading requests the next figures. Undefined before the first. */
  lastStats(): TransferStats | undefined {
    if (this.#isStarted && !this.#isAsking) void this.#ask();
    return this.#last;
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    try {
      this.#last = await this.#transfer.stats();
    } catch {
      // It is stopping, or its thread is restarting.
    } finally {
      this.#isAsking = false;
    }
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#dht.stop();
    await this.#sync.stop();
    if (this.#isStarted) {
      this.#isStarted = false;
      await this.#tellTotals().catch(() => {}); // a thread that died has lost them
    }
    await this.#transfer.stop();
  }

  async #tellTotals(): Promise<void> {
    const { uploads, downloads } = await this.#transfer.stats();
    this.#events.info("TORRENT", "transfers of this run", {
      uploadedBytes: uploads.bytes,
      downloadedBytes: downloads.bytes,
    });
  }
}

/** The local contents in the form of a listing. */
export function listingsOf(
  contents: readonly Content[],
  spareDir: string | undefined,
): Listing[] {
  const folder = spareDir === undefined ? undefined : resolve(spareDir) + sep;
  return contents.map((content) => {
    const path = content.ranges[0]?.path ?? "";
    return listingOf(content, folder !== undefined && path.startsWith(folder));
  });
}

/** The interfaces of `listen`, TCP only (transfer/transfer-thread.ts says why), on their own port. */
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

/** Hashing the folders may take long, so nothing waits for it. */
export function indexLater(
  transfer: { index(): Promise<unknown> },
  events: EventSink,
  onIndexed: () => void = () => {},
): void {
  transfer.index().then(onIndexed, (error: unknown) => {
    const { code, message } = ShoalError.from(error);
    events.error("TORRENT", `cannot share the folders: ${message}`, {
      code,
    });
  });
}
