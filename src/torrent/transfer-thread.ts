/**
 * A transfer in a thread of its own, with the face of one that is not. So a download that saturates the line costs the main thread, and
 * with it the tokens, a few messages a second.
 *
 *     await using transfer = new TransferThread({ host: { listen, keyPath }, store: { directories, stateDir } }, events);
 *     await transfer.start();
 *     await transfer.download({ root, path, name, kind: "part", sources: [{ kind: "peer", ...transferOfAnother }] });
 */
import { Worker } from "node:worker_threads";
import {
  type EventSink,
  reasonOf,
  ShoalError,
  type ErrorObject,
} from "../lib/index.ts";
import type { DownloadOptions, DownloadProgress } from "./content-download.ts";
import type { SourceSpec } from "./source.ts";
import type {
  Transfer,
  TransferLimits,
  TransferOptions,
  TransferStats,
} from "./transfer.ts";
import type { FromWorker, Question, ToWorker } from "./transfer-messages.ts";
import type { Content, Root } from "./types.ts";

/**
 * Bytes in flight are garbage outside V8's heap. With the default young generation of 48 MB few scavenges happen, that garbage piles up, and
 * V8 marks the whole heap every few MiB received; with a small one it goes with each scavenge. Measured (docs/BENCHMARKS.md).
 */
export const THREAD_LIMITS = Object.freeze({ maxYoungGenerationSizeMb: 3 });

/** How long a thread may take to close its streams. */
const STOP_MS = 10_000;

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: ShoalError) => void;
  onProgress: ((progress: DownloadProgress) => void) | undefined;
}

/** Each kind of question without its number. */
type Unnumbered<Q = Question> = Q extends Question ? Omit<Q, "id"> : never;

export class TransferThread implements Transfer {
  readonly #worker: Worker;
  readonly #events: EventSink;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<() => void>();
  #nextId = 0;
  #endpoint: { peer: string; addresses: string[] } = {
    peer: "",
    addresses: [],
  };
  #contents = new Map<Root, Content>();
  #stopping: Promise<void> | undefined;
  #gone: ShoalError | undefined;

  constructor(options: TransferOptions, events: EventSink) {
    this.#events = events;
    this.#worker = new Worker(new URL("transfer-worker.ts", import.meta.url), {
      workerData: options,
      resourceLimits: THREAD_LIMITS,
    });
    this.#worker.on("message", (message: FromWorker) =>
      this.#onMessage(message),
    );
    this.#worker.on("error", (error: unknown) => this.#onGone(error));
    this.#worker.on("exit", () => this.#onGone(undefined));
  }

  endpoint(): { peer: string; addresses: string[] } {
    return this.#endpoint;
  }

  async start(): Promise<void> {
    this.#endpoint = (await this.#ask({ op: "start" })) as {
      peer: string;
      addresses: string[];
    };
  }

  async index(): Promise<void> {
    await this.#ask({ op: "index" });
  }

  list(): Content[] {
    return [...this.#contents.values()];
  }

  get(root: Root): Content | undefined {
    return this.#contents.get(root);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async download(options: DownloadOptions): Promise<string> {
    const { sources = [], signal, onProgress, ...order } = options;
    if (signal?.aborted === true) throw reasonOf(signal);
    const id = this.#nextId;
    const over = new AbortController();
    const onAbort = (): void => this.#tell({ op: "abort", download: id });
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const done = this.#ask({ op: "download", order }, onProgress);
      void this.#passOn(order.root, sources, id, over.signal);
      return (await done) as string;
    } finally {
      over.abort();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  addSource(root: Root, spec: SourceSpec): void {
    this.#tell({ op: "source", root, spec });
  }

  setLimits(limits: TransferLimits): void {
    this.#tell({ op: "limits", limits });
  }

  setPrimary(paths: readonly string[]): void {
    this.#tell({ op: "primary", paths });
  }

  setAllowed(peers: readonly string[] | undefined): void {
    this.#tell({ op: "allowed", peers });
  }

  async stats(): Promise<TransferStats> {
    return (await this.#ask({ op: "stats" })) as TransferStats;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    // A thread that hangs is ended.
    const timer = setTimeout(() => void this.#worker.terminate(), STOP_MS);
    await this.#ask({ op: "stop" }).catch(() => {});
    clearTimeout(timer);
    await this.#worker.terminate();
  }

  async #passOn(
    root: Root,
    sources: NonNullable<DownloadOptions["sources"]>,
    download: number,
    over: AbortSignal,
  ): Promise<void> {
    try {
      for await (const spec of sources) {
        if (over.aborted) return;
        this.addSource(root, spec);
      }
    } catch (error) {
      this.#pending.get(download)?.reject(ShoalError.from(error));
      this.#tell({ op: "abort", download });
    }
  }

  #ask(
    question: Unnumbered,
    onProgress?: (progress: DownloadProgress) => void,
  ): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) {
        reject(this.#gone);
        return;
      }
      this.#pending.set(id, { resolve, reject, onProgress });
      this.#tell({ ...question, id });
    });
  }

  #tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #onMessage(message: FromWorker): void {
    if ("event" in message) {
      const { level, tag, message: text, fields } = message.event;
      this.#events[level](tag, text, fields);
    } else if ("progress" in message) {
      this.#pending.get(message.download)?.onProgress?.(message.progress);
    } else if ("contents" in message) {
      this.#contents = new Map(
        message.contents.map((content) => [content.metadata.root, content]),
      );
      for (const listener of this.#listeners) listener();
    } else {
      this.#settle(message);
    }
  }

  #settle(
    answer: { id: number; value: unknown } | { id: number; error: ErrorObject },
  ): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if ("error" in answer) pending?.reject(ShoalError.fromObject(answer.error));
    else pending?.resolve(answer.value);
  }

  #onGone(error: unknown): void {
    if (this.#gone !== undefined) return;
    this.#gone = new ShoalError(
      "PROCESS_DIED",
      "the transfer thread ended",
      {},
      error,
    );
    if (this.#stopping === undefined) {
      const why = error instanceof Error ? error.message : "no reason known";
      this.#events.error("TORRENT", `the transfer thread died: ${why}`);
    }
    for (const { reject } of this.#pending.values()) reject(this.#gone);
    this.#pending.clear();
  }
}
