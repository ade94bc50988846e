/** What a node's main thread and its transfer thread say to each other: plain data, by structured clone. */
import type { ErrorObject, ShoalEvent } from "../lib/index.ts";
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

/** What holds until it is said otherwise. */
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
  /** Contents that came or changed, without piece hashes, and those that went. */
  | { contents: Content[]; gone: Root[] }
  /** All there is: whatever else was known is gone. */
  | { all: Content[] }
  /** The thread's last words: it ends by an error that nothing caught. */
  | { uncaught: string };
