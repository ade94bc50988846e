/** What a node's main thread and its transfer thread say to each other: plain data, by structured clone. */
import type { ErrorObject, ShoalEvent } from "../lib/index.ts";
import type { DownloadOptions, DownloadProgress } from "./content-download.ts";
import type { SourceSpec } from "./source.ts";
import type { TransferLimits } from "./transfer.ts";
import type { Content, Root } from "./types.ts";

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

export type ToWorker =
  | Question
  /** Ends the download of that id. */
  | { op: "abort"; download: number }
  | { op: "source"; root: Root; spec: SourceSpec }
  | { op: "limits"; limits: TransferLimits }
  | { op: "primary"; paths: readonly string[] }
  | { op: "allowed"; peers: readonly string[] | undefined };

export type FromWorker =
  | { id: number; value: unknown }
  | { id: number; error: ErrorObject }
  | { event: ShoalEvent }
  | { progress: DownloadProgress; download: number }
  /** All there is now, without piece hashes. */
  | { contents: Content[] };
