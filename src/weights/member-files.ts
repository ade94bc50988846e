/**
 * A member's contents: it shares the files of its folders, downloads what it lacks, and lists both at each rendezvous. One composition for
 * nodes, seeders and `shoal get`. The bytes move in a thread with its own host and port; this thread only says what is wanted, and tells a
 * rendezvous where that host is.
 */
import { join, resolve, sep } from "node:path";
import { CatalogSync, type Listing, listingOf } from "../catalog/index.ts";
import {
  type EventSink,
  isShoalError,
  ShoalError,
  VERSION,
} from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import type { Content } from "../store/index.ts";
import { type TransferStats, TransferThread } from "../transfer/index.ts";
import { type ContentsHost, DhtContents } from "./dht-contents.ts";
import { SharedFiles } from "./shared-files.ts";

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

export interface MemberFilesOptions extends TransferFlags {
  host: ContentsHost;
  commands: Commands;
  events: EventSink;
  cluster: string;
  /** Multiaddrs that the member listens on: transfers listen on the same interfaces. */
  listen: readonly string[];
  /** Of the transfers' own identity; undefined: one for this run. */
  keyPath?: string | undefined;
  /** Shared, with their folders; single files too. */
  directories: readonly string[];
  /** One of them, with the spare copies. */
  spareDir?: string | undefined;
  stateDir: string;
}

export class MemberFiles extends SharedFiles {
  readonly #events: EventSink;
  readonly #thread: TransferThread;
  readonly #sync: CatalogSync;
  readonly #dht: DhtContents;
  #unsubscribe: (() => void) | undefined;
  #isStarted = false;
  #isIndexed = false;

  constructor(options: MemberFilesOptions) {
    const { commands, events, cluster, spareDir } = options;
    const thread = transferThread(options, events);
    const sync = new CatalogSync({
      commands,
      events,
      cluster,
      endpoint: () => this.endpoint(),
      listings: () => listingsOf(this.list(), spareDir),
    });
    super({
      transfer: thread,
      catalog: sync,
      find: (root, signal, found) => this.#dht.find(root, signal, found),
      events,
    });
    this.#events = events;
    this.#thread = thread;
    this.#sync = sync;
    this.#dht = new DhtContents({
      host: options.host,
      commands,
      events,
      cluster,
      list: () => this.list(),
      endpoint: () => this.endpoint(),
      remembered: (root) => sync.remembered(root),
    });
  }

  /** Listens for transfers; downloads may start. Rejects PORT_IN_USE. */
  async start(): Promise<void> {
    await this.#thread.start();
    this.#isStarted = true;
    this.#unsubscribe = this.onChange(() => {
      this.#sync.changed();
      this.#dht.changed();
    });
    this.#dht.start();
  }

  /** Scans the folders, which may take as long as hashing them; contents are shared as soon as they are known. */
  async index(): Promise<void> {
    await this.#thread.index();
    this.#isIndexed = true;
  }

  /** True once everything present in the folders at the start was scanned. */
  isIndexed(): boolean {
    return this.#isIndexed;
  }

  /** Files of this node's own shards, counted separately. */
  setPrimary(paths: readonly string[]): void {
    this.#thread.setPrimary(paths);
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

  /** Undefined before the first figures, and where nothing was started. */
  override lastStats(): TransferStats | undefined {
    return this.#isStarted ? super.lastStats() : undefined;
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    // First: what follows waits for others, and a process that must end does not wait for it.
    if (this.#isStarted) await this.#tellTotals().catch(() => {}); // a thread that died has lost them
    this.#isStarted = false;
    await this.#dht.stop();
    await this.#sync.stop();
    await this.#thread.stop();
  }

  async #tellTotals(): Promise<void> {
    const { uploads, downloads } = await this.#thread.stats();
    this.#events.info("TORRENT", "transfers of this run", {
      uploadedBytes: uploads.bytes,
      downloadedBytes: downloads.bytes,
    });
  }
}

/** A transfer thread that shares `directories` and keeps its hashes under `stateDir`. */
export function transferThread(
  options: TransferFlags &
    Pick<MemberFilesOptions, "keyPath" | "listen" | "directories" | "stateDir">,
  events: EventSink,
): TransferThread {
  const { keyPath, listen, transferPort, directories, stateDir } = options;
  return new TransferThread(
    {
      host: {
        keyPath,
        listen: transferListen(listen, transferPort),
        version: VERSION,
      },
      store: { directories, stateDir: join(stateDir, "torrents") },
      uploadBytesPerSecond: options.uploadLimit,
      downloadBytesPerSecond: options.downloadLimit,
      uploadSlots: options.uploadSlots,
    },
    events,
  );
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
function transferListen(
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
  files: { index(): Promise<unknown> },
  events: EventSink,
  onIndexed: () => void = () => {},
): void {
  files.index().then(onIndexed, (error: unknown) => {
    const { code, message } = ShoalError.from(error);
    events.error("TORRENT", `cannot share the folders: ${message}`, { code });
  });
}
