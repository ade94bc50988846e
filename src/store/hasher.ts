/** Hashes contents off the main thread. */
import { Worker } from "node:worker_threads";
import { programOf, reasonOf, ShoalError } from "../lib/index.ts";
import type { HashOrder, HashReport, PieceOrder } from "./hash-worker.ts";
import { pieceCount, rootOfPieces, toRoot } from "./piece-tree.ts";
import type { FileRange } from "../gguf/index.ts";
import { type ContentMetadata, PIECE_BYTES } from "./types.ts";

export interface HashOptions {
  signal?: AbortSignal;
  onProgress?: (progress: { doneBytes: number; totalBytes: number }) => void;
}

/** The thread costs about 15 MB: it ends after being idle for this long, and starts again with the next job. */
const IDLE_MS = 5_000;

type Done = Extract<HashReport, { type: "done" | "piece" }>;

interface Job {
  resolve: (report: Done) => void;
  reject: (error: Error) => void;
  onProgress: (doneBytes: number) => void;
}

export class Hasher implements AsyncDisposable {
  #worker: Worker | undefined;
  #jobs = new Map<number, Job>();
  #nextId = 0;
  #idle: NodeJS.Timeout | undefined;
  #isStopped = false;
  #hashedBytes = 0;

  /** Bytes of finished jobs, which show what the cache saves. */
  get hashedBytes(): number {
    return this.#hashedBytes;
  }

  /** Root and piece hashes of a content whose bytes are `ranges` in order. An empty path stands for zeros. */
  async hash(
    ranges: readonly FileRange[],
    options: HashOptions = {},
  ): Promise<ContentMetadata> {
    const sizeBytes = totalBytes(ranges);
    if (sizeBytes === 0)
      throw new ShoalError("CONTENT_INVALID", "a content without bytes");
    const isOnly = pieceCount(sizeBytes) === 1;
    const pieceHashes = await this.#run(ranges, isOnly, options);
    return { root: toRoot(rootOfPieces(pieceHashes)), sizeBytes, pieceHashes };
  }

  /** Hashes of a run of pieces of a larger content: `ranges` begins with the first of them. */
  hashPieces(
    ranges: readonly FileRange[],
    options: HashOptions & { isOnly: boolean },
  ): Promise<Uint8Array> {
    return this.#run(ranges, options.isOnly, options);
  }

  /**
   * Hashes a piece in memory, and writes it if it is the expected one. A buffer of a piece's size moves to the thread and returns in the
   * answer; `bytes` is empty afterwards. Rejects DISK_FULL, FILE_UNWRITABLE.
   */
  async takePiece(
    order: PieceOrder,
  ): Promise<{ bytes: Uint8Array; pieceHash: Uint8Array }> {
    const { buffer } = order.bytes;
    const isOwn =
      buffer instanceof ArrayBuffer && buffer.byteLength === PIECE_BYTES;
    const bytes = isOwn ? order.bytes : Uint8Array.from(order.bytes);
    const done = await this.#do(
      (id) => ({ type: "piece", id, ...order, bytes }),
      { moved: [bytes.buffer as ArrayBuffer] },
    );
    if (done.type !== "piece") throw unexpected(done);
    return done;
  }

  /** Jobs that still run are rejected with ABORTED. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = undefined;
    this.#failAll(new ShoalError("ABORTED", "the hasher was stopped"));
    await worker?.terminate();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(
    ranges: readonly FileRange[],
    isOnly: boolean,
    options: HashOptions,
  ): Promise<Uint8Array> {
    const sizeBytes = totalBytes(ranges);
    const { signal, onProgress } = options;
    const done = await this.#do(
      (id) => ({ type: "hash", id, ranges, sizeBytes, isOnly }),
      {
        signal,
        onProgress: (doneBytes) =>
          onProgress?.({ doneBytes, totalBytes: sizeBytes }),
      },
    );
    if (done.type !== "done") throw unexpected(done);
    this.#hashedBytes += sizeBytes;
    return done.pieceHashes;
  }

  #do(
    order: (id: number) => HashOrder,
    {
      signal,
      onProgress = () => {},
      moved = [],
    }: {
      signal?: AbortSignal | undefined;
      onProgress?: (doneBytes: number) => void;
      moved?: ArrayBuffer[];
    },
  ): Promise<Done> {
    if (signal?.aborted === true) return Promise.reject(reasonOf(signal));
    if (this.#isStopped) {
      return Promise.reject(
        new ShoalError("ABORTED", "the hasher was stopped"),
      );
    }
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Done>();
    const onAbort = (): void => {
      this.#send({ type: "abort", id });
      if (signal !== undefined) this.#settle(id)?.reject(reasonOf(signal));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#jobs.set(id, { resolve, reject, onProgress });
    this.#send(order(id), moved);
    return promise.finally(() => {
      signal?.removeEventListener("abort", onAbort);
    });
  }

  #send(order: HashOrder, moved: ArrayBuffer[] = []): void {
    clearTimeout(this.#idle);
    this.#worker ??= this.#spawn();
    // Only running jobs keep the process alive.
    if (order.type !== "abort") this.#worker.ref();
    this.#worker.postMessage(order, moved);
  }

  #spawn(): Worker {
    const worker = new Worker(programOf("hash-worker", import.meta.url), {
      name: "shoal-hash",
      // The process's own arguments (`--eval`) are not for its threads.
      execArgv: [],
      // What it makes are short-lived strings: more room for them only takes memory.
      resourceLimits: { maxYoungGenerationSizeMb: 3 },
    });
    worker.on("message", (report: HashReport) => this.#receive(report));
    const onEnd = (error?: Error): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#failAll(
        new ShoalError("INTERNAL", "the hashing thread ended", {}, error),
      );
    };
    worker.on("error", onEnd);
    worker.on("exit", () => onEnd());
    return worker;
  }

  #receive(report: HashReport): void {
    const { id } = report;
    if (report.type === "progress") {
      this.#jobs.get(id)?.onProgress(report.doneBytes);
    } else if (report.type === "failed") {
      this.#settle(id)?.reject(ShoalError.fromObject(report.error));
    } else {
      this.#settle(id)?.resolve(report);
    }
  }

  #settle(id: number): Job | undefined {
    const job = this.#jobs.get(id);
    this.#jobs.delete(id);
    if (this.#jobs.size === 0) {
      this.#worker?.unref();
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => this.#rest(), IDLE_MS).unref();
    }
    return job;
  }

  #rest(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }

  #failAll(error: ShoalError): void {
    const jobs = [...this.#jobs.values()];
    this.#jobs.clear();
    for (const job of jobs) job.reject(error);
  }
}

function unexpected({ type }: HashReport): ShoalError {
  return new ShoalError("INTERNAL", `the hashing thread answered "${type}"`);
}

export function totalBytes(ranges: readonly { sizeBytes: number }[]): number {
  return ranges.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
