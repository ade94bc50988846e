/**
 * Runs a Transfer in a worker thread, behind the same interface. So a download that saturates the line costs the main thread, which handles
 * tokens, only a few messages a second.
 *
 *     await using transfer = new TransferThread({ host: { listen, keyPath }, store: { directories, stateDir } }, events);
 *     await transfer.start();
 *     await transfer.download({ root, path, name, kind: "part", sources: [{ kind: "peer", ...transferOfAnother }] });
 *
 * A thread that dies is reported (TRANSFER_DIED) and replaced after a growing pause. Settings remain, the folders are scanned again, and
 * running downloads continue from the verified pieces. Their callers notice only the delay.
 */
import { Worker } from "node:worker_threads";
import {
  backoffMs,
  type ErrorObject,
  type EventSink,
  programOf,
  reasonOf,
  ShoalError,
} from "../lib/index.ts";
import type { DownloadOptions, DownloadProgress } from "./download-options.ts";
import type { SourceSpec } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";
import type {
  Transfer,
  TransferEndpoint,
  TransferLimits,
  TransferOptions,
  TransferStats,
} from "./transfer.ts";
import {
  type Asked,
  type FromWorker,
  isRepeated,
  type Question,
  type Setting,
  type ToWorker,
  type Unnumbered,
} from "./transfer-messages.ts";
import type { Content, Root } from "../store/index.ts";

/**
 * Received bytes become garbage outside V8's heap. With the default young generation of 48 MB there are few scavenges, the garbage piles
 * up, and V8 marks the whole heap every few MiB. With a small one each scavenge frees it. Measured (docs/BENCHMARKS.md).
 */
export const THREAD_LIMITS = Object.freeze({ maxYoungGenerationSizeMb: 3 });

/** How long a thread may take to close its streams: less than a process has to stop. */
const STOP_MS = 2_500;
/** The pause before the next thread, so that an immediate fault does not use up a processor. */
const RESTART = Object.freeze({ initialMs: 500, maxMs: 30_000 });
/** A thread that lived this long died for another reason than the one before. */
const SOUND_MS = 60_000;

/**
 * QUIC's native binding (2.1.1) aborts the whole process when a thread that used it ends in any way but by a stopped host: terminated, by an
 * uncaught error, by process.exit. TCP is also the faster for bulk, and does not share native threads with the node's tokens.
 */
function withoutQuic(options: TransferOptions): TransferOptions {
  return { ...options, host: { ...options.host, quic: false } };
}

export interface TransferThreadOptions {
  /** The thread's program. */
  entry?: URL;
}

export class TransferThread implements Transfer {
  readonly #options: TransferOptions;
  readonly #events: EventSink;
  readonly #entry: URL;
  readonly #asked = new Map<number, Asked>();
  readonly #listeners = new Set<() => void>();
  readonly #settings = new Map<Setting["op"], Setting>();
  #worker: Worker | undefined;
  #bornMs = 0;
  /** False before the start, and between a thread's death and the next one's start. */
  #isUp = false;
  #isIndexed = false;
  #deaths = 0;
  #restarting: NodeJS.Timeout | undefined;
  #nextId = 0;
  #endpoint: TransferEndpoint = { peer: "", addresses: [] };
  #contents = new Map<Root, Content>();
  #lastWords: string | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    options: TransferOptions,
    events: EventSink,
    {
      entry = programOf("transfer-worker", import.meta.url),
    }: TransferThreadOptions = {},
  ) {
    this.#options = withoutQuic(options);
    this.#events = events;
    this.#entry = entry;
  }

  endpoint(): TransferEndpoint {
    return this.#endpoint;
  }

  async start(): Promise<void> {
    if (this.#stopping !== undefined) throw stopped();
    if (this.#worker === undefined) this.#spawn();
    this.#endpoint = (await this.#ask({ op: "start" })) as TransferEndpoint;
    this.#isUp = true;
  }

  async index(): Promise<void> {
    this.#isIndexed = true;
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
    const onAbort = (): void => this.#abort(id);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const done = this.#ask({ op: "download", order }, onProgress);
      void this.#passOn(sources, id, over.signal);
      return (await done) as string;
    } finally {
      over.abort();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  addSource(root: Root, spec: SourceSpec): void {
    for (const { question, sources } of this.#asked.values()) {
      if (question.op !== "download" || question.order.root !== root) continue;
      sources.set(JSON.stringify(spec), spec);
      const [oldest] = sources.keys();
      if (sources.size > DEFAULTS.sourcesPerDownload && oldest !== undefined)
        sources.delete(oldest);
    }
    this.#tell({ op: "source", root, spec });
  }

  setLimits(limits: TransferLimits): void {
    const before = this.#settings.get("limits");
    const all = before?.op === "limits" ? before.limits : {};
    this.#set({ op: "limits", limits: { ...all, ...limits } });
  }

  setPrimary(paths: readonly string[]): void {
    this.#set({ op: "primary", paths });
  }

  setAllowed(peers: readonly string[] | undefined): void {
    this.#set({ op: "allowed", peers });
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
    clearTimeout(this.#restarting);
    const worker = this.#worker;
    if (worker !== undefined && this.#isUp) {
      // A hanging thread is terminated.
      const timer = setTimeout(() => void worker.terminate(), STOP_MS);
      await this.#ask({ op: "stop" }).catch(() => {});
      clearTimeout(timer);
    }
    this.#isUp = false;
    await worker?.terminate();
    for (const { reject } of this.#asked.values()) reject(stopped());
    this.#asked.clear();
  }

  // questions

  #ask(
    question: Unnumbered,
    onProgress?: (progress: DownloadProgress) => void,
  ): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const { op } = question;
      if (this.#stopping !== undefined && op !== "stop") {
        reject(stopped());
        return;
      }
      const canWait = isRepeated(op) && this.#endpoint.peer !== "";
      if (!this.#isUp && op !== "start" && !canWait) {
        reject(died("the transfer thread is not running"));
        return;
      }
      const asked: Question = { ...question, id };
      const sources = new Map<string, SourceSpec>();
      this.#asked.set(id, {
        question: asked,
        resolve,
        reject,
        onProgress,
        sources,
      });
      if (this.#isUp || op === "start") this.#tell(asked);
    });
  }

  #abort(id: number): void {
    if (this.#isUp) this.#tell({ op: "abort", download: id });
    else this.#reject(id, new ShoalError("ABORTED", "the download is stopped"));
  }

  async #passOn(
    sources: NonNullable<DownloadOptions["sources"]>,
    id: number,
    over: AbortSignal,
  ): Promise<void> {
    try {
      for await (const spec of sources) {
        const question = this.#asked.get(id)?.question;
        if (over.aborted || question?.op !== "download") return;
        this.addSource(question.order.root, spec);
      }
    } catch (error) {
      const asked = this.#asked.get(id);
      if (asked !== undefined) asked.failure = ShoalError.from(error);
      this.#abort(id);
    }
  }

  #set(setting: Setting): void {
    this.#settings.set(setting.op, setting);
    this.#tell(setting);
  }

  /** Sends to the thread, if there is one; the next one gets the current settings. */
  #tell(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  #reject(id: number, error: ShoalError): void {
    const asked = this.#asked.get(id);
    asked?.reject(asked.failure ?? error);
    this.#asked.delete(id);
  }

  #onMessage(message: FromWorker): void {
    if ("event" in message) {
      const { level, tag, message: text, fields } = message.event;
      this.#events[level](tag, text, fields);
    } else if ("progress" in message) {
      this.#asked.get(message.download)?.onProgress?.(message.progress);
    } else if ("uncaught" in message) {
      this.#lastWords = message.uncaught;
    } else if ("all" in message || "contents" in message) {
      this.#onContents(message);
    } else {
      this.#settle(message);
    }
  }

  #onContents(
    message: Extract<FromWorker, { all: Content[] } | { contents: Content[] }>,
  ): void {
    if ("all" in message) this.#contents.clear();
    else for (const root of message.gone) this.#contents.delete(root);
    const news = "all" in message ? message.all : message.contents;
    for (const content of news)
      this.#contents.set(content.metadata.root, content);
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #settle(
    answer: { id: number; value: unknown } | { id: number; error: ErrorObject },
  ): void {
    if ("error" in answer) {
      this.#reject(answer.id, ShoalError.fromObject(answer.error));
    } else {
      this.#asked.get(answer.id)?.resolve(answer.value);
      this.#asked.delete(answer.id);
    }
  }

  // the thread

  #spawn(): void {
    const worker = new Worker(this.#entry, {
      workerData: this.#options,
      resourceLimits: THREAD_LIMITS,
    });
    this.#worker = worker;
    this.#bornMs = performance.now();
    this.#lastWords = undefined;
    let reason: unknown;
    worker.on("message", (message: FromWorker) => this.#onMessage(message));
    worker.on("error", (error: unknown) => {
      reason = error;
    });
    worker.on("exit", () => {
      if (this.#worker === worker) this.#onGone(reason);
    });
    for (const setting of this.#settings.values()) this.#tell(setting);
  }

  #onGone(reason: unknown): void {
    const wasStarted = this.#endpoint.peer !== "";
    this.#worker = undefined;
    this.#isUp = false;
    const why =
      this.#lastWords ??
      (reason instanceof Error ? reason.message : "no reason known");
    const [line = ""] = why.split("\n");
    const error = died(`the transfer thread died: ${line}`, reason);
    for (const [id, { question }] of this.#asked) {
      if (wasStarted && isRepeated(question.op)) continue;
      this.#reject(id, error);
    }
    if (this.#stopping !== undefined || !wasStarted) return;
    if (performance.now() - this.#bornMs > SOUND_MS) this.#deaths = 0;
    const pauseMs = backoffMs(this.#deaths++, RESTART);
    const { code } = error;
    this.#events.error("TORRENT", error.message, { code, pauseMs, why });
    this.#restarting = setTimeout(() => void this.#restart(), pauseMs);
  }

  async #restart(): Promise<void> {
    this.#spawn();
    const worker = this.#worker;
    try {
      this.#endpoint = (await this.#ask({ op: "start" })) as TransferEndpoint;
    } catch (error) {
      // Such as its port, which another program took meanwhile. A death was reported already.
      if (this.#worker !== worker) return;
      this.#lastWords = ShoalError.from(error).message;
      await worker?.terminate();
      return;
    }
    this.#isUp = true;
    let downloads = 0;
    let isIndexing = !this.#isIndexed;
    for (const { question, sources } of this.#asked.values()) {
      this.#tell(question);
      if (question.op === "index") isIndexing = true;
      if (question.op !== "download") continue;
      downloads++;
      for (const spec of sources.values())
        this.#tell({ op: "source", root: question.order.root, spec });
    }
    if (!isIndexing) {
      this.#ask({ op: "index" }).catch((error: unknown) => {
        const { code, message } = ShoalError.from(error);
        this.#events.warn("TORRENT", message, { code });
      });
    }
    this.#events.info("TORRENT", "transfer thread restarted", {
      peer: this.#endpoint.peer,
      downloads,
    });
    this.#changed();
  }
}

function died(message: string, cause?: unknown): ShoalError {
  return new ShoalError("TRANSFER_DIED", message, {}, cause);
}

function stopped(): ShoalError {
  return new ShoalError("ABORTED", "transfers are stopped");
}
