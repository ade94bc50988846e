/** The contents on this machine: every GGUF of some folders, whole and in parts, and running downloads. See index.ts. */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  type Clock,
  type EventSink,
  formatBytes,
  isShoalError,
  reasonOf,
  ShoalError,
  systemClock,
} from "../lib/index.ts";
import type { Manifest } from "../model/index.ts";
import { ContentTable } from "./content-table.ts";
import { HashCache } from "./hash-cache.ts";
import { Hasher } from "./hasher.ts";
import { type PartialDescription, readPartialState } from "./partial-state.ts";
import { PART_SUFFIX, STATE_SUFFIX } from "./partial.ts";
import { verifyPieceLayer } from "./piece-tree.ts";
import { DerivedFiles } from "./derived-files.ts";
import { DownloadFiles } from "./download-files.ts";
import { isSameFile, stampOf } from "./files.ts";
import { Hashing } from "./hashing.ts";
import { StoreIndexer } from "./indexer.ts";
import { listFiles, Settling } from "./scan.ts";
import { FolderWatch } from "./watch.ts";
import type {
  Content,
  ContentKind,
  ContentMetadata,
  ContentStore,
  PartialContent,
  Root,
} from "./types.ts";

export interface DiskStoreOptions {
  /** Scanned with their subfolders; single files too. A missing one counts as empty. */
  directories: readonly string[];
  /** Hashes, manifests, the list of downloads. */
  stateDir: string;
  events: EventSink;
  /** Files of this node's own shard. */
  primary?: readonly string[];
  clock?: Clock;
  settleMs?: number;
  debounceMs?: number;
  pollMs?: number;
}

export const STORE_DEFAULTS = Object.freeze({
  /** A file is hashed once it has not changed for this long: copies and downloads write more often. */
  settleMs: 1_000,
  /** Delay between a change in a folder and the scan. */
  debounceMs: 250,
  /** Interval of scans in case a change goes unnoticed. */
  pollMs: 60_000,
});

export interface StoreSummary {
  /** Whole files of this node's own shard. */
  primary: number;
  /** Other whole files. */
  additional: number;
  parts: number;
  downloads: number;
  /** Of the files. */
  sizeBytes: number;
}

export class DiskStore implements ContentStore, AsyncDisposable {
  #options: Required<DiskStoreOptions>;
  #primary: Set<string>;
  #listeners = new Set<() => void>();
  #stopping = new AbortController();
  #hasher = new Hasher();
  #table: ContentTable;
  #downloads: DownloadFiles;
  #cache: HashCache;
  #hashing: Hashing;
  #settling: Settling;
  #indexer: StoreIndexer;
  #watch: FolderWatch;
  #unfinished: string[] = [];
  #lastScan: Promise<void> = Promise.resolve();
  #nextScan: Promise<void> | undefined;

  constructor(options: DiskStoreOptions) {
    const { directories, stateDir, primary = [] } = options;
    this.#options = {
      clock: systemClock,
      ...STORE_DEFAULTS,
      ...options,
      directories: directories.map((directory) => resolve(directory)),
      primary,
    };
    const { events, clock, settleMs } = this.#options;
    this.#primary = new Set(primary.map((path) => resolve(path)));
    this.#table = new ContentTable((path) => this.#primary.has(path));
    this.#downloads = new DownloadFiles(stateDir);
    this.#cache = new HashCache(join(stateDir, "hashes"));
    this.#settling = new Settling(settleMs, () => clock.now());
    this.#hashing = new Hashing({
      hasher: this.#hasher,
      cache: this.#cache,
      events,
      clock,
      signal: this.#stopping.signal,
    });
    this.#indexer = new StoreIndexer({
      table: this.#table,
      downloads: this.#downloads,
      hashing: this.#hashing,
      derived: new DerivedFiles(join(stateDir, "derived")),
      events,
      signal: this.#stopping.signal,
      onContent: () => this.#tell(),
      onUnsettled: () => this.#watch.soon(settleMs),
    });
    this.#watch = new FolderWatch({
      ...this.#options,
      onChange: () => this.#rescanLater(),
      onError: (folder) =>
        events.warn(
          "TORRENT",
          "a folder cannot be watched and is polled instead",
          {
            path: folder,
          },
        ),
    });
  }

  /** Resolves when everything present at the start is hashed; contents are shared as soon as they are known. */
  async start(): Promise<void> {
    await Promise.all([this.#cache.load(), this.#downloads.load()]);
    this.#watch.start();
    await this.rescan();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#watch.stop();
    await this.#downloads.close();
    await this.#hasher.stop();
    await this.#lastScan.catch(() => {});
    await this.#hashing.save();
    this.#table.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Scans the folders now. A running scan is followed by another. */
  rescan(): Promise<void> {
    this.#nextScan ??= this.#lastScan
      .catch(() => {})
      .then(() => {
        this.#nextScan = undefined;
        return this.#scan();
      });
    this.#lastScan = this.#nextScan;
    return this.#nextScan;
  }

  /** Bytes hashed since the start: none if the cache knew everything. */
  get hashedBytes(): number {
    return this.#hasher.hashedBytes;
  }

  list(): Content[] {
    const partials = this.#downloads
      .partials()
      .map(({ content }) => content)
      .filter(({ metadata }) => !this.#table.has(metadata.root));
    return [...this.#table.list(), ...partials];
  }

  get(root: Root): Content | undefined {
    return this.#table.get(root) ?? this.#downloads.partial(root)?.content;
  }

  /** Manifests that were seen here, by their CID. The root under which its bytes are shared, if they are here. */
  manifests(): Map<string, { manifest: Manifest; root?: Root }> {
    return new Map(
      [...this.#indexer.manifests].map(([id, { manifest, root }]) => [
        id,
        root !== undefined && this.#table.has(root)
          ? { manifest, root }
          : { manifest },
      ]),
    );
  }

  /** Downloads that can be resumed with `open`. */
  async unfinished(): Promise<(PartialDescription & { path: string })[]> {
    const found: (PartialDescription & { path: string })[] = [];
    const open = new Set(this.#downloads.partials().map(({ path }) => path));
    for (const statePath of this.#unfinished) {
      const path = statePath.slice(0, -STATE_SUFFIX.length);
      if (open.has(path)) continue;
      const state = await readPartialState(statePath);
      if (state !== undefined) found.push({ ...state, path });
    }
    return found;
  }

  async readPiece(root: Root, index: number): Promise<Uint8Array> {
    const partial = this.#downloads.partial(root);
    if (partial !== undefined && !this.#table.has(root))
      return await partial.read(index);
    try {
      return await this.#table.readPiece(root, index, async (path, kind) => {
        this.#watch.soon();
        this.#tell();
        await this.#reportChanged(path, kind);
      });
    } catch (error) {
      if (partial !== undefined && isShoalError(error, "CONTENT_CHANGED"))
        return await partial.read(index);
      throw error;
    }
  }

  async resumable(
    root: Root,
    path: string,
  ): Promise<ContentMetadata | undefined> {
    const state = await readPartialState(`${resolve(path)}${STATE_SUFFIX}`);
    return state?.metadata.root === root ? state.metadata : undefined;
  }

  async open(
    metadata: ContentMetadata,
    options: {
      path: string;
      name: string;
      kind: ContentKind;
      manifest?: string;
    },
  ): Promise<PartialContent> {
    verifyPieceLayer(metadata);
    const { name, kind, manifest } = options;
    const path = resolve(options.path);
    const { events } = this.#options;
    const file = await this.#downloads.open(
      { metadata, name, kind, manifest },
      {
        path,
        hasher: this.#hasher,
        events,
        onPiece: () => this.#tell(),
        onFinish: () =>
          this.#indexer.takeDownload(metadata, { path, name, kind, manifest }),
        onClose: () => this.#tell(),
      },
    );
    this.#tell();
    return file;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Files of this node's own shard, from now on. */
  setPrimary(paths: readonly string[]): void {
    this.#primary = new Set(paths.map((path) => resolve(path)));
    this.#tell();
  }

  summary(): StoreSummary {
    const manifests = new Set(
      [...this.manifests().values()].map(({ root }) => root),
    );
    const all = this.#table.list();
    const files = all.filter(
      ({ kind, metadata }) => kind !== "part" && !manifests.has(metadata.root),
    );
    const primary = files.filter((content) => content.primary).length;
    return {
      primary,
      additional: files.length - primary,
      parts: all.filter(({ kind }) => kind === "part").length,
      downloads: this.#downloads.partials().length,
      sizeBytes: files.reduce((sum, f) => sum + f.metadata.sizeBytes, 0),
    };
  }

  async #scan(): Promise<void> {
    const { directories, events, settleMs } = this.#options;
    const { signal } = this.#stopping;
    if (signal.aborted) throw reasonOf(signal);
    const listing = await listFiles(directories);
    if (listing.isCut)
      events.warn("TORRENT", "too many files or folders; some are ignored");
    this.#watch.follow(listing.folders);
    this.#unfinished = await this.#statesOf(listing.states);
    const paths = [...listing.files, ...this.#downloads.finished.keys()];
    const { settled, isWaiting } = await this.#settling.look([
      ...new Set(paths),
    ]);
    if (isWaiting) this.#watch.soon(settleMs);
    const isLess = await this.#dropChanged();
    const isMore = await this.#indexer.index(settled, (path) =>
      this.#primary.has(path),
    );
    await this.#hashing.save();
    if (isLess || isMore) this.#tellSummary();
  }

  /** Removes changed places from contents. True if there were any. */
  async #dropChanged(): Promise<boolean> {
    const { events } = this.#options;
    const changed = new Set<string>();
    for (const stamp of this.#table.stamps())
      if (!isSameFile(stamp, await stampOf(stamp.path)))
        changed.add(stamp.path);
    const gone = [...this.#downloads.finished.keys()];
    const exist = await Promise.all(gone.map((path) => stampOf(path)));
    await this.#downloads.forget(gone.filter((_, i) => exist[i] === undefined));
    if (changed.size === 0) return false;
    const lost = this.#table.retain(
      ({ stamps }) => ![...stamps.keys()].some((path) => changed.has(path)),
    );
    for (const { kind, name, metadata } of lost) {
      const level = kind === "part" ? "debug" : "info";
      events[level]("TORRENT", "no longer shared", {
        name,
        root: metadata.root,
      });
    }
    this.#tell();
    return true;
  }

  /** A removed file is no cause for worry: parts are removed once they are in their shard. */
  async #reportChanged(path: string, kind: ContentKind): Promise<void> {
    const { events } = this.#options;
    if ((await stampOf(path)) === undefined) {
      const level = kind === "part" ? "debug" : "info";
      events[level]("TORRENT", "a file is gone; it is no longer shared", {
        path,
      });
      return;
    }
    events.warn(
      "TORRENT",
      "a file changed; it is no longer shared under its old id",
      { path },
    );
  }

  /** Without those whose download finished or was discarded. */
  async #statesOf(paths: readonly string[]): Promise<string[]> {
    const kept: string[] = [];
    for (const path of paths) {
      const part = `${path.slice(0, -STATE_SUFFIX.length)}${PART_SUFFIX}`;
      if ((await stampOf(part)) === undefined) await rm(path, { force: true });
      else kept.push(path);
    }
    return kept;
  }

  #rescanLater(): void {
    this.rescan().catch((error: unknown) => {
      if (this.#stopping.signal.aborted) return;
      const { code, message } = ShoalError.from(error);
      this.#options.events.warn("TORRENT", "the directories cannot be read", {
        code,
        message,
      });
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #tellSummary(): void {
    const { sizeBytes, ...counts } = this.summary();
    this.#options.events.info("TORRENT", "seeding", {
      ...counts,
      size: formatBytes(sizeBytes),
    });
  }
}
