/**
 * The thread that hashes, and writes verified pieces. Jobs run in parallel, one chunk of each in turn, so that a small one does not wait
 * for a model of 40 GB. The next chunk is read while one is hashed.
 */
import { writeSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { parentPort } from "node:worker_threads";
import {
  type ErrorObject,
  readAll,
  readError,
  ShoalError,
  writeError,
} from "../lib/index.ts";
import { PieceHasher } from "./piece-hasher.ts";
import type { FileRange } from "../gguf/index.ts";

/** To the thread. */
export type HashOrder =
  | {
      type: "hash";
      id: number;
      ranges: readonly FileRange[];
      sizeBytes: number;
      isOnly: boolean;
    }
  | ({ type: "piece"; id: number } & PieceOrder)
  | { type: "abort"; id: number };

/** A piece in memory, moved here and back. */
export interface PieceOrder {
  bytes: Uint8Array;
  isOnly: boolean;
  /** Its hash, if it is the piece it should be. */
  expected: Uint8Array;
  /** Where to write it; undefined: nowhere. The file stays open until the answer. */
  target: { fd: number; position: number; path: string } | undefined;
}

/** From the thread. */
export type HashReport =
  | { type: "piece"; id: number; bytes: Uint8Array; pieceHash: Uint8Array }
  | { type: "progress"; id: number; doneBytes: number }
  | { type: "done"; id: number; pieceHashes: Uint8Array }
  | { type: "failed"; id: number; error: ErrorObject };

/** Bytes per read: enough that the disk takes the time, not the call. A job holds two of them. */
const CHUNK_BYTES = 2 * 1024 * 1024;
/** A chunk takes 2 ms to hash; nobody needs progress that often. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * For the next job: a model has hundreds of parts, one job each, and what the collector has not freed yet would add up to many of them.
 */
const unused: [Buffer, Buffer][] = [];
/** Two jobs often run at once, more seldom. */
const KEPT = 2;

const aborted = new Set<number>();
const running = new Set<number>();

parentPort?.on("message", (order: HashOrder) => {
  if (order.type === "abort") {
    if (running.has(order.id)) aborted.add(order.id);
    return;
  }
  const { id } = order;
  if (order.type === "piece") {
    try {
      takePiece(order);
    } catch (error) {
      report({ type: "failed", id, error: ShoalError.from(error).toObject() });
    }
    return;
  }
  running.add(id);
  run(order)
    .catch((error: unknown) => {
      report({ type: "failed", id, error: ShoalError.from(error).toObject() });
    })
    .finally(() => {
      running.delete(id);
      aborted.delete(id);
    });
});

function report(message: HashReport, moved: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, moved);
}

/** Written here, where its bytes are in the CPU cache, not by another thread: measured (docs/BENCHMARKS.md). */
function takePiece({
  id,
  bytes,
  isOnly,
  expected,
  target,
}: PieceOrder & { id: number }): void {
  const hasher = new PieceHasher(bytes.length, { isOnly });
  hasher.update(bytes);
  const pieceHash = hasher.finish();
  if (target !== undefined && Buffer.compare(pieceHash, expected) === 0) {
    const { fd, position, path } = target;
    try {
      for (let done = 0; done < bytes.length;)
        done += writeSync(
          fd,
          bytes,
          done,
          bytes.length - done,
          position + done,
        );
    } catch (error) {
      throw writeError(error, path);
    }
  }
  report({ type: "piece", id, bytes, pieceHash }, [
    bytes.buffer as ArrayBuffer,
  ]);
}

async function run(order: HashOrder & { type: "hash" }): Promise<void> {
  const { id, ranges, sizeBytes, isOnly } = order;
  const hasher = new PieceHasher(sizeBytes, { isOnly });
  const reader = new RangeReader(ranges);
  const buffers = unused.pop() ?? newBuffers();
  try {
    let doneBytes = 0;
    let reportedMs = Date.now();
    let [current, next] = buffers;
    let filled = await reader.fill(current);
    while (filled > 0) {
      const reading = reader.fill(next);
      // Should hashing throw first, this must not become an unhandled rejection.
      reading.catch(() => {});
      hasher.update(current.subarray(0, filled));
      doneBytes += filled;
      if (Date.now() - reportedMs >= PROGRESS_INTERVAL_MS) {
        reportedMs = Date.now();
        report({ type: "progress", id, doneBytes });
      }
      filled = await reading;
      [current, next] = [next, current];
      if (aborted.has(id)) throw new ShoalError("ABORTED", "aborted");
    }
    report({ type: "done", id, pieceHashes: hasher.finish() });
    // Not after a failure: a read may still be under way into one of them.
    if (unused.length < KEPT) unused.push(buffers);
  } finally {
    await reader.close();
  }
}

function newBuffers(): [Buffer, Buffer] {
  return [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
}

/** Ranges of files, one after the other, as one stream. */
class RangeReader {
  #ranges: readonly FileRange[];
  #index = 0;
  /** Of the range at hand. */
  #done = 0;
  #files = new Map<string, FileHandle>();

  constructor(ranges: readonly FileRange[]) {
    this.#ranges = ranges;
  }

  /** Fills `buffer`; returns the bytes read, fewer only at the end. */
  async fill(buffer: Buffer): Promise<number> {
    let filled = 0;
    while (filled < buffer.length) {
      const range = this.#ranges[this.#index];
      if (range === undefined) break;
      const size = Math.min(
        buffer.length - filled,
        range.sizeBytes - this.#done,
      );
      const into = buffer.subarray(filled, filled + size);
      if (range.path === "") into.fill(0);
      else await this.#read(range.path, into, range.offset + this.#done);
      filled += size;
      this.#done += size;
      if (this.#done < range.sizeBytes) continue;
      this.#index++;
      this.#done = 0;
    }
    return filled;
  }

  async close(): Promise<void> {
    for (const handle of this.#files.values()) await handle.close();
    this.#files.clear();
  }

  async #read(path: string, into: Buffer, offset: number): Promise<void> {
    let handle = this.#files.get(path);
    if (handle === undefined) {
      handle = await open(path, "r").catch((error: unknown) => {
        throw readError(error, path);
      });
      this.#files.set(path, handle);
    }
    const done = await readAll(handle, into, offset).catch((error: unknown) => {
      throw readError(error, path);
    });
    if (done === into.length) return;
    throw new ShoalError(
      "CONTENT_CHANGED",
      `${path} ends at byte ${offset + done}: it became shorter`,
      { path },
    );
  }
}
