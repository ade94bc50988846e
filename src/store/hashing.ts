/** Hashes what the cache does not know, and checks that the files did not change meanwhile. */
import { basename } from "node:path";
import {
  type Clock,
  type EventSink,
  formatBytes,
  ShoalError,
} from "../lib/index.ts";
import type { HashCache } from "./hash-cache.ts";
import { type Hasher, totalBytes } from "./hasher.ts";
import { type FileStamp, isSameFile, stampOf } from "./files.ts";
import type { FileRange } from "../gguf/index.ts";
import type { ContentMetadata } from "./types.ts";

/** Jobs of less than a second are not reported. */
const TELL_BYTES = 1024 * 1024 * 1024;
const TELL_INTERVAL_MS = 5_000;
/** A start that was interrupted in a large folder continues from there. */
const SAVE_INTERVAL_MS = 10_000;

export interface HashingOptions {
  hasher: Hasher;
  cache: HashCache;
  events: EventSink;
  clock: Clock;
  signal: AbortSignal;
}

export interface Hashed {
  metadata: ContentMetadata;
  stamps: ReadonlyMap<string, FileStamp>;
}

export class Hashing {
  #options: HashingOptions;
  #savedMs: number;

  constructor(options: HashingOptions) {
    this.#options = options;
    this.#savedMs = options.clock.now();
  }

  /** Throws CONTENT_CHANGED if a file changes meanwhile. */
  async hash(name: string, ranges: readonly FileRange[]): Promise<Hashed> {
    const { hasher, cache, signal, clock } = this.#options;
    const stamps = await stampsOf(ranges);
    const known = cache.get(ranges, stamps);
    if (known !== undefined) return { metadata: known, stamps };
    const onProgress = this.#teller(name, ranges);
    const metadata = await hasher.hash(ranges, { signal, onProgress });
    for (const stamp of stamps.values()) {
      if (!isSameFile(stamp, await stampOf(stamp.path)))
        throw changed(stamp.path);
    }
    cache.set(ranges, stamps, metadata);
    if (clock.now() - this.#savedMs >= SAVE_INTERVAL_MS) await this.save();
    return { metadata, stamps };
  }

  /** Verified pieces need not be hashed again. */
  know(
    ranges: readonly FileRange[],
    stamps: ReadonlyMap<string, FileStamp>,
    metadata: ContentMetadata,
  ): void {
    this.#options.cache.set(ranges, stamps, metadata);
  }

  /** A cache that cannot be written costs time at the next start, nothing else. */
  async save(): Promise<void> {
    const { cache, events, clock } = this.#options;
    this.#savedMs = clock.now();
    await cache.save().catch((error: unknown) => {
      const { code, message } = ShoalError.from(error);
      events.warn("TORRENT", "hashes cannot be saved", { code, message });
    });
  }

  #teller(
    name: string,
    ranges: readonly FileRange[],
  ): (progress: { doneBytes: number; totalBytes: number }) => void {
    const { events, clock } = this.#options;
    const sizeBytes = totalBytes(ranges);
    if (sizeBytes < TELL_BYTES) return () => {};
    events.info("TORRENT", "hashing", { name, size: formatBytes(sizeBytes) });
    let toldMs = clock.now();
    return ({ doneBytes }) => {
      const isDone = doneBytes >= sizeBytes;
      if (!isDone && clock.now() - toldMs < TELL_INTERVAL_MS) return;
      toldMs = clock.now();
      const percent = Math.floor((100 * doneBytes) / sizeBytes);
      const fraction = doneBytes / sizeBytes;
      const fields = { name, percent, what: `hashing ${name}`, fraction };
      events[isDone ? "debug" : "info"]("TORRENT", "hashing", fields);
    };
  }
}

async function stampsOf(
  ranges: readonly FileRange[],
): Promise<Map<string, FileStamp>> {
  const stamps = new Map<string, FileStamp>();
  for (const { path } of ranges) {
    if (path === "" || stamps.has(path)) continue;
    const stamp = await stampOf(path);
    if (stamp === undefined) throw changed(path);
    stamps.set(path, stamp);
  }
  return stamps;
}

function changed(path: string): ShoalError {
  return new ShoalError(
    "CONTENT_CHANGED",
    `${basename(path)} changed while it was hashed`,
    { path },
  );
}
