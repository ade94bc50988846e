/**
 * Parallel downloads of contents. They share the sources and take turns requesting from them, within one memory bound and one limit of
 * bytes per second.
 */
import {
  ShoalError,
  systemClock,
  type Clock,
  type EventSink,
} from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import { ContentDownload } from "./content-download.ts";
import type { DownloadShared } from "./download-shared.ts";
import type { DownloadOptions, DownloadProgress } from "./download-options.ts";
import type { OriginOptions } from "./http-origin.ts";
import { PieceBuffers } from "./piece-buffers.ts";
import {
  isRoot,
  type ContentStore,
  PIECE_BYTES,
  type Root,
} from "../store/index.ts";
import { ByteRate, RateMeter } from "./byte-rate.ts";
import type { SourceSpec } from "./source.ts";
import { type Ban, SourcePool } from "./source-pool.ts";
import { DEFAULTS } from "./defaults.ts";

export interface DownloadsOptions {
  host: Pick<Host, "openStream" | "disconnect">;
  store: ContentStore;
  events: EventSink;
  clock?: Clock;
  random?: () => number;
  bytesPerSecond?: number | undefined;
  /** Bytes of pieces that are requested, arriving, being verified or written. */
  memoryBytes?: number | undefined;
  stallMs?: number | undefined;
  connectMs?: number | undefined;
  origin?: OriginOptions | undefined;
  onBan?: ((ban: Ban) => void) | undefined;
  /** A piece was requested: see Uploads.expect. */
  onAsked?: ((root: Root, piece: number) => void) | undefined;
}

export interface DownloadStats {
  bytes: number;
  bytesPerSecond: number;
  downloads: DownloadProgress[];
  banned: { source: string; code: string; reason: string }[];
}

export class Downloads {
  readonly #shared: DownloadShared;
  readonly #running = new Map<Root, ContentDownload>();
  #turn = 0;
  #pumping = false;
  #cancelTick: (() => void) | undefined;
  #cancelWait: (() => void) | undefined;
  #stopped = false;

  constructor(options: DownloadsOptions) {
    const {
      clock = systemClock,
      random = Math.random,
      bytesPerSecond,
      memoryBytes = DEFAULTS.memoryBytes,
      stallMs = DEFAULTS.stallMs,
      onAsked = () => {},
      onBan,
      store,
      events,
    } = options;
    const buffers = new PieceBuffers();
    this.#shared = {
      store,
      buffers,
      clock,
      events,
      random,
      stallMs,
      pool: new SourcePool({
        ...options,
        clock,
        buffers,
        onBan: (ban) => {
          for (const download of this.#running.values())
            download.dropBanned(ban.source);
          onBan?.(ban);
        },
      }),
      limit: new ByteRate(clock, bytesPerSecond),
      memory: { usedBytes: 0, maxBytes: Math.max(memoryBytes, PIECE_BYTES) },
      received: new RateMeter(clock),
      pump: () => this.#pumpSoon(),
      onAsked,
    };
  }

  /**
   * Resolves with the path once the content is complete and verified. Rejects CONTENT_UNAVAILABLE, DISK_FULL, ABORTED …; the next attempt
   * resumes with the verified pieces. A content that is already being downloaded is an error: CONTENT_BUSY.
   */
  async download(options: DownloadOptions): Promise<string> {
    const { root, name } = options;
    const { clock } = this.#shared;
    if (!isRoot(root))
      throw new ShoalError("USAGE", `expected a root of 64 hex digits`);
    if (this.#stopped) throw new ShoalError("ABORTED", "transfers are stopped");
    if (
      this.#running.has(root) ||
      this.#running.size >= DEFAULTS.downloadsAtOnce
    ) {
      throw new ShoalError(
        "CONTENT_BUSY",
        `${name} is already being downloaded`,
        {
          root,
        },
      );
    }
    const download = new ContentDownload(options, this.#shared);
    this.#running.set(root, download);
    this.#tickLater();
    const startedMs = clock.now();
    try {
      const path = await download.run();
      const { sizeBytes } = download.progress();
      this.#shared.events.info("TORRENT", `${name} is complete and verified`, {
        root,
        path,
        sizeBytes,
        tookMs: clock.now() - startedMs,
      });
      return path;
    } finally {
      this.#running.delete(root);
      this.#pumpSoon();
    }
  }

  /** Adds sources to a running download; otherwise does nothing. */
  addSource(root: Root, spec: SourceSpec): void {
    this.#running.get(root)?.addSource(spec);
  }

  setLimits(limits: { bytesPerSecond?: number | undefined }): void {
    this.#shared.limit.bytesPerSecond = limits.bytesPerSecond;
    this.#pumpSoon();
  }

  stats(): DownloadStats {
    const { received, pool } = this.#shared;
    return {
      bytes: received.totalBytes,
      bytesPerSecond: received.bytesPerSecond,
      downloads: [...this.#running.values()].map((d) => d.progress()),
      banned: pool.bans(),
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTick?.();
    this.#cancelWait?.();
    for (const download of this.#running.values())
      download.fail(new ShoalError("ABORTED", "transfers are stopping"));
    this.#shared.pool.close();
  }

  // requesting, in turns

  #pumpSoon(): void {
    if (this.#pumping || this.#stopped) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** One piece for each download in turn, until none can request, or memory or the rate limit is used up. */
  #pump(): void {
    const { memory, limit } = this.#shared;
    let idle = 0;
    while (idle < this.#running.size) {
      if (memory.usedBytes + PIECE_BYTES > memory.maxBytes) return;
      const waitMs = limit.delayMs();
      if (waitMs > 0) {
        this.#pumpAfter(waitMs);
        return;
      }
      const downloads = [...this.#running.values()];
      const next = downloads[this.#turn++ % downloads.length];
      idle = next?.askOne() === true ? 0 : idle + 1;
    }
  }

  #pumpAfter(ms: number): void {
    this.#cancelWait ??= this.#shared.clock.after(ms, () => {
      this.#cancelWait = undefined;
      this.#pumpSoon();
    });
  }

  #tickLater(): void {
    this.#cancelTick ??= this.#shared.clock.after(DEFAULTS.tickMs, () => {
      this.#cancelTick = undefined;
      if (this.#running.size === 0) return;
      const now = this.#shared.clock.now();
      for (const download of this.#running.values()) {
        download.tick(now);
        download.tellProgress();
      }
      this.#pumpSoon();
      this.#tickLater();
    });
  }
}
