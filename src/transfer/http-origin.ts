/**
 * An HTTP server as a source. It has the original files, and a content is ranges of their bytes. It has everything and gives no piece
 * hashes. If nobody else gives them, the content is read once to compute them and a second time to keep it.
 */
import { reasonOf, ShoalError, type Clock } from "../lib/index.ts";
import { HttpRanges } from "./http-range.ts";
import {
  PieceSet,
  HASH_BYTES,
  pieceCount,
  pieceHash,
  pieceSize,
  type ContentMetadata,
  PIECE_BYTES,
  type Root,
} from "../store/index.ts";
import {
  sourceIdOf,
  type LinkListener,
  type OriginRange,
  type OriginSpec,
  type Source,
  type SourceLink,
} from "./source.ts";
import { DEFAULTS } from "./defaults.ts";

export interface OriginOptions {
  headMs?: number | undefined;
  stallMs?: number | undefined;
  /** At once. */
  requests?: number | undefined;
}

export class HttpOrigin implements Source {
  readonly id: string;
  readonly #ranges: readonly OriginRange[];
  readonly #options: OriginOptions & { clock: Clock };

  constructor(spec: OriginSpec, options: OriginOptions & { clock: Clock }) {
    for (const { url } of spec.ranges) checkUrl(url);
    this.id = sourceIdOf(spec);
    this.#ranges = joined(spec.ranges);
    this.#options = options;
  }

  /** Nothing is requested yet: the first piece shows whether the origin works. */
  async open(root: Root, listener: LinkListener): Promise<SourceLink> {
    return new OriginLink({
      id: this.id,
      root,
      ranges: this.#ranges,
      listener,
      ...this.#options,
    });
  }

  close(): void {}
}

interface OriginLinkInit extends OriginOptions {
  id: string;
  root: Root;
  ranges: readonly OriginRange[];
  listener: LinkListener;
  clock: Clock;
}

class OriginLink implements SourceLink {
  readonly sourceId: string;
  readonly sizeBytes: number;
  readonly have: PieceSet;
  readonly metadataIsCostly = true;
  readonly waiting = false;
  readonly #init: OriginLinkInit;
  readonly #http: HttpRanges;
  readonly #closed = new AbortController();
  #requests = 0;
  bytesPerSecond: number | undefined;
  outstandingBytes = 0;
  lastDataMs = 0;

  constructor(init: OriginLinkInit) {
    const {
      clock,
      headMs = DEFAULTS.originHeadMs,
      stallMs = DEFAULTS.stallMs,
    } = init;
    this.#init = init;
    this.sourceId = init.id;
    this.sizeBytes = init.ranges.reduce((sum, r) => sum + r.sizeBytes, 0);
    this.have = PieceSet.full(pieceCount(this.sizeBytes));
    this.#http = new HttpRanges({ clock, headMs, stallMs });
  }

  get room(): number {
    const { requests = DEFAULTS.originRequests } = this.#init;
    return this.#closed.signal.aborted ? 0 : requests - this.#requests;
  }

  isAsked(): boolean {
    return false;
  }

  async metadata(
    checkSize: (sizeBytes: number) => void,
    signal: AbortSignal,
  ): Promise<ContentMetadata> {
    const { sizeBytes } = this;
    checkSize(sizeBytes);
    const count = pieceCount(sizeBytes);
    const pieceHashes = new Uint8Array(count * HASH_BYTES);
    for (let piece = 0; piece < count; piece++) {
      const size = pieceSize(sizeBytes, piece);
      const bytes = await this.fetch(piece, size, signal);
      const hash = pieceHash(bytes, { isOnly: count === 1 });
      pieceHashes.set(hash, piece * HASH_BYTES);
    }
    return { root: this.#init.root, sizeBytes, pieceHashes };
  }

  async fetch(
    piece: number,
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { clock } = this.#init;
    const either = AbortSignal.any([signal, this.#closed.signal]);
    const askedMs = clock.now();
    let left = sizeBytes;
    this.#requests++;
    this.outstandingBytes += sizeBytes;
    try {
      if (either.aborted) throw reasonOf(either);
      const bytes = await this.#read(piece, sizeBytes, either, (read) => {
        left -= read;
        this.outstandingBytes -= read;
        this.lastDataMs = clock.now();
      });
      this.#measure(sizeBytes, clock.now() - askedMs);
      return bytes;
    } catch (error) {
      const failure = ShoalError.from(error);
      if (!either.aborted) this.#fail(failure);
      throw failure;
    } finally {
      this.#requests--;
      this.outstandingBytes -= left;
    }
  }

  close(): void {
    this.#closed.abort(new ShoalError("ABORTED", "the download is over"));
  }

  async #read(
    piece: number,
    sizeBytes: number,
    signal: AbortSignal,
    onData: (bytes: number) => void,
  ): Promise<Uint8Array> {
    const bytes = new Uint8Array(sizeBytes);
    const start = piece * PIECE_BYTES;
    let at = 0;
    for (const range of this.#init.ranges) {
      const from = Math.max(start, at);
      const to = Math.min(start + sizeBytes, at + range.sizeBytes);
      if (from < to && range.url !== "") {
        const into = bytes.subarray(from - start, to - start);
        const offset = range.offset + from - at;
        const part = { url: range.url, offset, sizeBytes: to - from };
        await this.#http.read(part, into, signal, onData);
      } else if (from < to) {
        onData(to - from);
      }
      at += range.sizeBytes;
    }
    return bytes;
  }

  #measure(sizeBytes: number, tookMs: number): void {
    const { requests = DEFAULTS.originRequests } = this.#init;
    const rate = (sizeBytes * requests * 1000) / Math.max(tookMs, 1);
    this.bytesPerSecond =
      this.bytesPerSecond === undefined
        ? rate
        : 0.3 * rate + 0.7 * this.bytesPerSecond;
  }

  #fail(error: ShoalError): void {
    this.#closed.abort(error);
    this.#init.listener.onClosed(this, error);
  }
}

/** Adjacent tensors in the file need only one request. */
function joined(ranges: readonly OriginRange[]): OriginRange[] {
  const result: OriginRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (
      last?.url === range.url &&
      (range.url === "" || last.offset + last.sizeBytes === range.offset)
    ) {
      last.sizeBytes += range.sizeBytes;
    } else {
      result.push({ ...range });
    }
  }
  return result;
}

function checkUrl(text: string): void {
  if (text === "") return;
  const url = URL.parse(text);
  if (
    url === null ||
    (url.protocol !== "https:" && url.protocol !== "http:") ||
    url.username !== "" ||
    url.password !== ""
  ) {
    throw new ShoalError(
      "USAGE",
      "an origin's address must be http: or https:, without user name and password",
    );
  }
}
