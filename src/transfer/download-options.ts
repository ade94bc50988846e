/** A download's options and progress. */
import type { SourceSpec } from "./source.ts";
import type { ContentKind, Root } from "../store/index.ts";

export interface DownloadOptions {
  root: Root;
  /** From a signed manifest, if there is one: then no peer can lie about it. */
  sizeBytes?: number | undefined;
  path: string;
  name: string;
  kind: ContentKind;
  manifest?: string | undefined;
  sources?: Iterable<SourceSpec> | AsyncIterable<SourceSpec> | undefined;
  /** No source had a missing piece for this long: CONTENT_UNAVAILABLE. */
  unavailableMs?: number | undefined;
  /** No piece arrived for this long. */
  stuckMs?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

export interface DownloadProgress {
  root: Root;
  name: string;
  /** Undefined while the metadata is missing. */
  sizeBytes: number | undefined;
  /** Verified and written, including an earlier run's. */
  doneBytes: number;
  bytesPerSecond: number;
  /** Linked sources that have some of it. */
  sources: number;
  /** Undefined: unknown. */
  etaMs: number | undefined;
}
