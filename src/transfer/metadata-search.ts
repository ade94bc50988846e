/**
 * Finds the piece hashes of a content of which only the root is known: asks one source, after a while another, until one gives hashes that
 * make the root. The last piece proves an unknown size, because its hash fits only one length.
 */
import { ShoalError, type Clock } from "../lib/index.ts";
import {
  pieceCount,
  pieceSize,
  verifyPiece,
  verifyPieceLayer,
  type ContentMetadata,
  type Root,
} from "../store/index.ts";
import type { SourceLink } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";

/** Sources asked at once: more are unlikely to be faster. */
const MAX_ASKED = 3;
/** Above this only one source at a time is asked, because unverified hashes take memory (2 MiB). */
const HEDGED_BYTES = 2 ** 36;
/** After this long with only costly sources, one of them is asked. */
const COSTLY_AFTER_MS = 3_000;

export interface FoundMetadata {
  metadata: ContentMetadata;
  /** Arrived as proof of the size. */
  lastPiece: Uint8Array | undefined;
}

export interface MetadataSearchOptions {
  root: Root;
  /** From a signed manifest, where there is one. */
  sizeBytes: number | undefined;
  maxSizeBytes: number;
  clock: Clock;
  signal: AbortSignal;
  onFailed: (link: SourceLink, error: ShoalError) => void;
}

export class MetadataSearch {
  readonly found: Promise<FoundMetadata>;
  readonly #options: MetadataSearchOptions;
  readonly #resolve: (found: FoundMetadata) => void;
  readonly #asked = new Set<SourceLink>();
  readonly #failed = new WeakSet<SourceLink>();
  readonly #startedMs: number;
  readonly #over = new AbortController();
  #lastAskedMs = 0;

  constructor(options: MetadataSearchOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<FoundMetadata>();
    this.found = promise;
    this.#resolve = resolve;
    this.#startedMs = options.clock.now();
  }

  /** Asks one more of `links` when it is time. */
  pump(links: readonly SourceLink[]): void {
    if (this.#over.signal.aborted || this.#asked.size >= MAX_ASKED) return;
    const now = this.#options.clock.now();
    const isSmall = [...this.#asked].every(
      ({ sizeBytes }) => (sizeBytes ?? Infinity) <= HEDGED_BYTES,
    );
    const isDue = now - this.#lastAskedMs >= DEFAULTS.metadataHedgeMs;
    if (this.#asked.size > 0 && !(isDue && isSmall)) return;
    const askable = links.filter((link) => this.#isAskable(link, now));
    const next = askable.find((link) => !link.metadataIsCostly) ?? askable[0];
    if (next === undefined) return;
    this.#asked.add(next);
    this.#lastAskedMs = now;
    this.#ask(next).catch((error: unknown) => {
      this.#asked.delete(next);
      this.#failed.add(next);
      if (!this.#over.signal.aborted)
        this.#options.onFailed(next, ShoalError.from(error));
    });
  }

  #isAskable(link: SourceLink, now: number): boolean {
    const { have } = link;
    if (this.#asked.has(link) || this.#failed.has(link)) return false;
    if (have === undefined) return false;
    if (link.metadataIsCostly) return now - this.#startedMs >= COSTLY_AFTER_MS;
    return this.#options.sizeBytes !== undefined || have.has(have.size - 1);
  }

  async #ask(link: SourceLink): Promise<void> {
    const { root, sizeBytes, signal } = this.#options;
    const either = AbortSignal.any([signal, this.#over.signal]);
    const told = await link.metadata((size) => this.#checkSize(size), either);
    const metadata = { ...told, root };
    this.#checkSize(metadata.sizeBytes);
    verifyPieceLayer(metadata);
    let lastPiece: Uint8Array | undefined;
    if (sizeBytes === undefined && !link.metadataIsCostly) {
      const last = pieceCount(metadata.sizeBytes) - 1;
      const size = pieceSize(metadata.sizeBytes, last);
      lastPiece = await link.fetch(last, size, either);
      verifyPiece(metadata, last, lastPiece);
    }
    if (this.#over.signal.aborted) return;
    this.#resolve({ metadata, lastPiece });
    this.#over.abort(new ShoalError("ABORTED", "another source was faster"));
  }

  #checkSize(claimed: number): void {
    const { root, sizeBytes, maxSizeBytes } = this.#options;
    if (claimed === sizeBytes) return;
    if (sizeBytes === undefined && claimed <= maxSizeBytes) return;
    throw new ShoalError(
      "CONTENT_INVALID",
      `${root.slice(0, 12)} has ${sizeBytes ?? `at most ${maxSizeBytes}`} bytes, not ${claimed}`,
      { root, claimed },
    );
  }
}
