/** What is asked of a download, and what it tells. */
import type { SourceSpec } from "./source.ts";
import type { ContentKind, Root } from "../store/index.ts";

export interface DownloadOptions {
  root: Root;
  /** From a signed manifest, where there is one: then no peer can lie about it. */
  sizeBytes?: number | undefined;
  path: string;
  name: string;
  kind: ContentKind;
  manifest?: string | undefined;
  sources?: Iterable<SourceSpec> | AsyncIterable<SourceSpec> | undefined;
  /** No source had a missing piece for this long: CONTENT_UNAVAILABLE. */
  unavailableMs?: number | undefined;
  /** Nor did any piece arrive for this long. */
  stuckMs?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

export interface DownloadProgress {
  root: Root;
  name: string;
  /** Undefined while no metadata are here. */
  sizeBytes: number | undefined;
  /** Verified and written, those of an earlier run too. */
  doneBytes: number;
  bytesPerSecond: number;
  /** Linked ones that have some of it. */
  sources: number;
  /** Undefined: unknown. */
  etaMs: number | undefined;
}
