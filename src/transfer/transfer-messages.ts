/** The messages between a node's main thread and its transfer thread: plain data, by structured clone. */
import type { ErrorObject, ShoalError, ShoalEvent } from "../lib/index.ts";
import type { DownloadOptions, DownloadProgress } from "./download-options.ts";
import type { SourceSpec } from "./source.ts";
import type { TransferLimits } from "./transfer.ts";
import type { Content, Root } from "../store/index.ts";

/** A download without what cannot cross; sources follow one by one. */
export type DownloadOrder = Omit<
  DownloadOptions,
  "sources" | "signal" | "onProgress"
>;

/** Answered with `{ id, value }` or `{ id, error }`. */
export type Question =
  | { id: number; op: "start" }
  | { id: number; op: "index" }
  | { id: number; op: "download"; order: DownloadOrder }
  | { id: number; op: "stats" }
  | { id: number; op: "stop" };

/** Settings that hold until changed. */
export type Setting =
  | { op: "limits"; limits: TransferLimits }
  | { op: "primary"; paths: readonly string[] }
  | { op: "allowed"; peers: readonly string[] | undefined };

export type ToWorker =
  | Question
  | Setting
  /** Ends the download of that id. */
  | { op: "abort"; download: number }
  | { op: "source"; root: Root; spec: SourceSpec };

export type FromWorker =
  | { id: number; value: unknown }
  | { id: number; error: ErrorObject }
  | { event: ShoalEvent }
  | { progress: DownloadProgress; download: number }
  /** Added and changed contents, without piece hashes, and removed ones. */
  | { contents: Content[]; gone: Root[] }
  /** The complete list: everything else known before is gone. */
  | { all: Content[] }
  /** The thread's last message: it ends because of an uncaught error. */
  | { uncaught: string };

/** A request without an answer yet. */
export interface Asked {
  question: Question;
  resolve: (value: unknown) => void;
  reject: (error: ShoalError) => void;
  onProgress: ((progress: DownloadProgress) => void) | undefined;
  /** A download's sources by identity, also for the next thread. */
  sources: Map<string, SourceSpec>;
  /** Why it is being stopped, if not by its signal. */
  failure?: ShoalError;
}

/** Each kind of request without its number. */
export type Unnumbered<Q = Question> = Q extends Question
  ? Omit<Q, "id">
  : never;

/** Requests that the next thread gets again. */
export function isRepeated(op: Question["op"]): boolean {
  return op === "download" || op === "index";
}
