/**
 * The download of one content: its metadata from any source, then its pieces from many, each verified before it is written.
 *
 * A piece is open (picker), in flight at one or two sources, being verified, or done. `#arrived` and `#missed` move it on; it is open again
 * when nobody has it in flight.
 */
import { abortable, isShoalError, ShoalError } from "../lib/index.ts";
import { DownloadLinks, type SourceState, takeAll } from "./download-links.ts";
import type { DownloadOptions, DownloadProgress } from "./download-options.ts";
import type { DownloadShared } from "./download-shared.ts";
import { haveMissing, progressOf } from "./download-progress.ts";
import { type PieceRequest, InFlight } from "./in-flight.ts";
import { MetadataSearch } from "./metadata-search.ts";
import { PiecePicker } from "./piece-picker.ts";
import {
  PieceSet,
  pieceCount,
  pieceSize,
  type ContentMetadata,
  type PartialContent,
  type Root,
} from "../store/index.ts";
import { RateMeter } from "./byte-rate.ts";
import type { SourceLink, SourceSpec } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";

export class ContentDownload {
  readonly root: Root;
  readonly #options: DownloadOptions;
  readonly #shared: DownloadShared;
  readonly #links: DownloadLinks;
  readonly #search: MetadataSearch;
  readonly #over = new AbortController();
  readonly #complete = Promise.withResolvers<void>();
  readonly #meter: RateMeter;
  #metadata: ContentMetadata | undefined;
  #partial: PartialContent | undefined;
  #picker: PiecePicker | undefined;
  #have: PieceSet | undefined;
  #doneBytes = 0;
  readonly #inFlight = new InFlight();
  readonly #verifying = new Set<number>();
  readonly #writes = new Set<Promise<void>>();
  #turn = 0;
  #lastPieceMs: number;
  #lastAvailableMs: number;

  constructor(options: DownloadOptions, shared: DownloadShared) {
    const { root, sizeBytes } = options;
    const { clock, pool } = shared;
    this.root = root;
    this.#options = options;
    this.#shared = shared;
    this.#meter = new RateMeter(clock);
    this.#lastPieceMs = this.#lastAvailableMs = clock.now();
    const { signal } = this.#over;
    this.#links = new DownloadLinks({
      root,
      pool,
      clock,
      signal,
      stallMs: shared.stallMs,
      onChange: shared.pump,
    });
    this.#search = new MetadataSearch({
      root,
      sizeBytes,
      maxSizeBytes: DEFAULTS.maxSizeBytes,
      clock,
      signal,
      onFailed: (link, error) => this.#onMetadataFailed(link, error),
    });
  }

  /** The path, once the content is complete. */
  async run(): Promise<string> {
    const { signal } = this.#options;
    const onAbort = (): void =>
      this.fail(
        new ShoalError("ABORTED", `download of ${this.#options.name} stopped`),
      );
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener("abort", onAbort);
    try {
      await this.#begin();
      await abortable(this.#complete.promise, this.#over.signal);
      this.#links.close();
      const path = await this.#partial?.finish();
      this.#partial = undefined;
      this.tellProgress();
      return path ?? this.#options.path;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#over.abort(new ShoalError("ABORTED", "the download is over"));
      this.#links.close();
      await Promise.allSettled(this.#writes);
      await this.#partial?.close();
    }
  }

  fail(error: ShoalError): void {
    this.#over.abort(error);
  }

  addSource(spec: SourceSpec): void {
    if (this.#over.signal.aborted) return;
    try {
      this.#links.add(spec);
    } catch (error) {
      // It has no address, which is no reason to ignore the others.
      const { code, message } = ShoalError.from(error);
      this.#shared.events.warn("TORRENT", `no source: ${message}`, { code });
    }
  }

  dropBanned(id: string): void {
    this.#links.dropBanned(id);
  }

  progress(): DownloadProgress {
    return progressOf(this.#options, {
      sizeBytes: this.#sizeBytes(),
      doneBytes: this.#doneBytes,
      bytesPerSecond: this.#meter.bytesPerSecond,
      sources: this.#links.active,
    });
  }

  tellProgress(): void {
    this.#options.onProgress?.(this.progress());
  }

  /** Several times a second. */
  tick(now: number): void {
    this.#links.openMore();
    this.#links.resumeAsking();
    if (this.#isAvailable()) this.#lastAvailableMs = now;
    const {
      unavailableMs = DEFAULTS.unavailableMs,
      stuckMs = DEFAULTS.stuckMs,
    } = this.#options;
    if (now - this.#lastAvailableMs >= unavailableMs) {
      this.#unavailable("no source has the missing pieces", unavailableMs);
    } else if (now - this.#lastPieceMs >= stuckMs) {
      this.#unavailable("no source delivered a piece", stuckMs);
    }
  }

  /** Requests one piece from one source; false if there is nothing to request now. */
  askOne(): boolean {
    if (this.#over.signal.aborted) return false;
    const active = this.#links.active;
    if (this.#picker === undefined) {
      this.#search.pump(active.flatMap(({ link }) => link ?? []));
      return false;
    }
    // A source that took a request and did nothing gets a piece only if nobody else wants it; otherwise it would delay piece after piece.
    const doubted = active.filter(({ missed }) => missed > 0);
    const others = active.filter(({ missed }) => missed === 0);
    return this.#askOneOf(others) || this.#askOneOf(doubted);
  }

  #askOneOf(sources: readonly SourceState[]): boolean {
    const now = this.#shared.clock.now();
    for (let i = 0; i < sources.length; i++) {
      const attached = sources[(this.#turn + i) % sources.length];
      const link = attached?.link;
      if (link?.have === undefined || attached === undefined) continue;
      if (link.room <= 0 || attached.pausedUntilMs > now) continue;
      const piece = this.#pick(attached, link, now);
      if (piece === undefined) continue;
      this.#turn += i + 1;
      this.#ask(attached, link, piece, now);
      return true;
    }
    return false;
  }

  // metadata

  async #begin(): Promise<void> {
    const { root, sources = [], path, name, kind, manifest } = this.#options;
    const { store, events } = this.#shared;
    const { signal } = this.#over;
    takeAll(sources, signal, (spec) => this.addSource(spec)).catch(
      (error: unknown) => this.fail(ShoalError.from(error)),
    );
    const known =
      store.get(root)?.metadata ?? (await store.resumable(root, path));
    const { metadata, lastPiece } =
      known === undefined
        ? await abortable(this.#search.found, signal)
        : { metadata: known, lastPiece: undefined };
    const partial = await store.open(metadata, {
      path,
      name,
      kind,
      ...(manifest !== undefined && { manifest }),
    });
    this.#partial = partial;
    this.#metadata = metadata;
    const { sizeBytes } = metadata;
    const count = pieceCount(sizeBytes);
    const have = new PieceSet(count, partial.content.have);
    this.#have = have;
    for (const piece of have) this.#doneBytes += pieceSize(sizeBytes, piece);
    events.info("TORRENT", `downloading ${name}`, {
      root,
      sizeBytes,
      pieces: count,
      resumed: have.count,
    });
    const picker = new PiecePicker(have, this.#shared.random);
    this.#lastPieceMs = this.#lastAvailableMs = this.#shared.clock.now();
    if (lastPiece !== undefined) this.#shared.received.add(lastPiece.length);
    if (lastPiece !== undefined && !have.has(count - 1)) {
      picker.remove(count - 1);
      void this.#write(count - 1, lastPiece, undefined);
    }
    this.#picker = picker;
    this.#links.count(picker, sizeBytes);
    if (have.isFull) this.#complete.resolve();
    this.#shared.pump();
  }

  #onMetadataFailed(link: SourceLink, error: ShoalError): void {
    const attached = this.#links.active.find((a) => a.link === link);
    if (attached !== undefined) this.#links.drop(attached, error);
    this.#shared.pump();
  }

  // asking

  #pick(
    attached: SourceState,
    link: SourceLink,
    now: number,
  ): number | undefined {
    const { have } = link;
    if (have === undefined || attached.nothingToAsk) return undefined;
    const waits = now - this.#lastPieceMs > DEFAULTS.quickMs;
    const isExpected =
      have.isFull && !waits ? this.#links.expectedSoon() : () => false;
    const piece =
      this.#picker?.take(
        (p) => have.has(p) && !link.isAsked(p) && !isExpected(p),
      ) ?? this.#inFlight.second(attached, link, now, this.#verifying);
    if (piece === undefined) attached.nothingToAsk = true;
    return piece;
  }

  #ask(
    attached: SourceState,
    link: SourceLink,
    piece: number,
    askedMs: number,
  ): void {
    const { memory, limit, onAsked, pump } = this.#shared;
    const sizeBytes = pieceSize(this.#metadata?.sizeBytes ?? 0, piece);
    const controller = new AbortController();
    const request: PieceRequest = { attached, link, askedMs, controller };
    if (this.#inFlight.add(piece, request)) onAsked(this.root, piece);
    memory.usedBytes += sizeBytes;
    limit.take(sizeBytes);
    link
      .fetch(piece, sizeBytes, controller.signal)
      .then(
        (bytes) => this.#arrived(piece, request, bytes),
        (error: unknown) =>
          this.#missed(piece, request, ShoalError.from(error)),
      )
      .catch((error: unknown) => this.fail(ShoalError.from(error)))
      .finally(() => {
        memory.usedBytes -= sizeBytes;
        pump();
      });
  }

  async #arrived(
    piece: number,
    request: PieceRequest,
    bytes: Uint8Array,
  ): Promise<void> {
    const { received, buffers } = this.#shared;
    received.add(bytes.length);
    if (this.#have?.has(piece) !== true && !this.#verifying.has(piece)) {
      await this.#write(piece, bytes, request);
      return;
    }
    this.#release(piece, request);
    buffers.give(bytes);
  }

  #missed(piece: number, request: PieceRequest, error: ShoalError): void {
    const { attached, controller } = request;
    if (!controller.signal.aborted) attached.missed++;
    if (error.code === "PIECE_MISSING")
      this.#links.uncountPiece(attached, piece);
    if (error.code === "BUSY")
      attached.pausedUntilMs = this.#shared.clock.now() + DEFAULTS.silentMs;
    this.#release(piece, request);
  }

  /** Verifies and writes. Never rejects. */
  #write(
    piece: number,
    bytes: Uint8Array,
    request: PieceRequest | undefined,
  ): Promise<void> {
    const write = (async () => {
      if (this.#over.signal.aborted || this.#partial === undefined) return;
      const sizeBytes = bytes.length;
      this.#verifying.add(piece);
      try {
        const memory = await this.#partial.writePiece(piece, bytes);
        this.#shared.buffers.give(memory);
      } catch (error) {
        this.#verifying.delete(piece);
        this.#onBadWrite(piece, request, ShoalError.from(error));
        return;
      }
      this.#verifying.delete(piece);
      this.#onWritten(piece, sizeBytes, request);
    })();
    this.#writes.add(write);
    return write.finally(() => this.#writes.delete(write));
  }

  #onWritten(
    piece: number,
    sizeBytes: number,
    request: PieceRequest | undefined,
  ): void {
    this.#have?.add(piece);
    this.#doneBytes += sizeBytes;
    this.#meter.add(sizeBytes);
    this.#lastPieceMs = this.#shared.clock.now();
    if (request !== undefined)
      this.#links.delivered(request.attached, this.#lastPieceMs);
    for (const other of this.#inFlight.take(piece))
      if (other !== request) this.#lostRace(other);
    if (this.#have?.isFull === true) this.#complete.resolve();
  }

  #onBadWrite(
    piece: number,
    request: PieceRequest | undefined,
    error: ShoalError,
  ): void {
    if (!isShoalError(error, "PIECE_INVALID")) {
      this.fail(error);
      return;
    }
    if (request !== undefined) this.#links.drop(request.attached, error);
    this.#release(piece, request);
  }

  #lostRace(request: PieceRequest): void {
    request.controller.abort(
      new ShoalError("ABORTED", "another source was faster"),
    );
    if (!request.link.waiting) this.#links.lostRace(request.attached);
  }

  /** The request ended without a piece, which is open again unless another source has it in flight. */
  #release(piece: number, request: PieceRequest | undefined): void {
    if (!this.#inFlight.remove(piece, request)) return;
    if (this.#have?.has(piece) === true || this.#verifying.has(piece)) return;
    this.#picker?.putBack(piece);
    this.#links.resumeAsking();
  }

  // the end

  #isAvailable(): boolean {
    if (this.#inFlight.size > 0 || this.#verifying.size > 0) return true;
    return haveMissing(this.#links.active, this.#have);
  }

  #unavailable(why: string, waitedMs: number): void {
    const { root } = this;
    const [sizeBytes, doneBytes] = [this.#sizeBytes(), this.#doneBytes];
    this.fail(
      new ShoalError(
        "CONTENT_UNAVAILABLE",
        `${this.#options.name}: ${why} for ${Math.round(waitedMs / 1000)} s`,
        { root, doneBytes, sizeBytes, waitedMs },
      ),
    );
  }

  /** Undefined until a source or the manifest told it. */
  #sizeBytes(): number | undefined {
    return this.#metadata?.sizeBytes ?? this.#options.sizeBytes;
  }
}
