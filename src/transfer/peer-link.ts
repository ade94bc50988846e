/** One content on a peer's stream: the peer's pieces, and the requested ones. */
import { type Clock, reasonOf, ShoalError } from "../lib/index.ts";
import type { PieceBuffers } from "./piece-buffers.ts";
import {
  PieceSet,
  HASH_BYTES,
  pieceCount,
  type ContentMetadata,
  type Root,
} from "../store/index.ts";
import type { LinkListener, SourceLink } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";
import {
  type Answer,
  AnswerType,
  AskType,
  encodeAsk,
  malformed,
  MIN_DATA_BYTES,
  Reason,
  WHOLE,
} from "./wire.ts";

interface Pending {
  sizeBytes: number;
  askedMs: number;
  /** Allocated with the first byte. */
  bytes: Uint8Array | undefined;
  filled: number;
  /** Not wanted any more, but its answer is still outstanding. */
  cancelled: boolean;
  settle: (result: Uint8Array | ShoalError) => void;
}

/** What the contents of a peer's stream share. */
export interface PeerStream {
  readonly peer: string;
  readonly clock: Clock;
  readonly buffers: PieceBuffers;
  /** Requests that the peer accepts now. */
  readonly room: number;
  readonly waiting: boolean;
  readonly bytesPerSecond: number | undefined;
  readonly outstandingBytes: number;
  readonly lastDataMs: number;
  send(frame: Uint8Array): void;
  onAsked(sizeBytes: number): void;
  onData(sizeBytes: number): void;
  /** A request is answered; `leftBytes` of it did not arrive. */
  onAnswered(
    leftBytes: number,
    arrived?: { sizeBytes: number; askedMs: number },
  ): void;
  onLinkClosed(channel: number): void;
}

type Of<T> = Extract<Answer, { type: T }>;

export class PeerLink implements SourceLink {
  readonly metadataIsCostly = false;
  readonly sourceId: string;
  readonly #stream: PeerStream;
  readonly #channel: number;
  readonly #root: Root;
  readonly #listener: LinkListener;
  readonly #pending = new Map<number, Pending>();
  #page:
    { first: number; settle: (page: Of<17> | ShoalError) => void } | undefined;
  #closed = false;
  sizeBytes: number | undefined;
  have: PieceSet | undefined;

  constructor(
    stream: PeerStream,
    channel: number,
    root: Root,
    listener: LinkListener,
  ) {
    this.sourceId = stream.peer;
    this.#stream = stream;
    this.#channel = channel;
    this.#root = root;
    this.#listener = listener;
  }

  get room(): number {
    return this.#closed ? 0 : this.#stream.room;
  }
  get waiting(): boolean {
    return this.#stream.waiting;
  }
  get bytesPerSecond(): number | undefined {
    return this.#stream.bytesPerSecond;
  }
  get outstandingBytes(): number {
    return this.#stream.outstandingBytes;
  }
  get lastDataMs(): number {
    return this.#stream.lastDataMs;
  }

  async metadata(
    checkSize: (sizeBytes: number) => void,
    signal: AbortSignal,
  ): Promise<ContentMetadata> {
    let hashes: Uint8Array | undefined;
    let first = 0;
    for (;;) {
      const page = await this.#askPage(first, signal);
      checkSize(page.sizeBytes);
      hashes ??= new Uint8Array(pieceCount(page.sizeBytes) * HASH_BYTES);
      if (hashes.length !== pieceCount(page.sizeBytes) * HASH_BYTES)
        throw malformed("the size changed from page to page");
      hashes.set(page.hashes, first * HASH_BYTES);
      first += page.hashes.length / HASH_BYTES;
      const { sizeBytes } = page;
      if (first * HASH_BYTES === hashes.length)
        return { root: this.#root, sizeBytes, pieceHashes: hashes };
    }
  }

  fetch(
    piece: number,
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#cancel(piece, reasonOf(signal));
      this.#pending.set(piece, {
        sizeBytes,
        askedMs: this.#stream.clock.now(),
        bytes: undefined,
        filled: 0,
        cancelled: false,
        settle: (result) => {
          signal.removeEventListener("abort", onAbort);
          if (result instanceof ShoalError) reject(result);
          else resolve(result);
        },
      });
      signal.addEventListener("abort", onAbort);
      this.#stream.onAsked(sizeBytes);
      this.#stream.send(encodeAsk(AskType.Request, this.#channel, piece));
    });
  }

  /** Requested here, perhaps cancelled, and not answered yet. */
  isAsked(piece: number): boolean {
    return this.#pending.has(piece);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const over = new ShoalError("ABORTED", "the download is over");
    this.#page?.settle(over);
    for (const pending of this.#pending.values()) {
      if (pending.cancelled) continue;
      this.#dropBytes(pending);
      pending.settle(over);
    }
    this.#stream.send(encodeAsk(AskType.Leave, this.#channel));
    this.#forgetIfDone();
  }

  // told by the stream

  onRoom(): void {
    if (!this.#closed) this.#listener.onChange(this);
  }

  onStreamClosed(error: ShoalError): void {
    const wasClosed = this.#closed;
    this.#closed = true;
    this.#page?.settle(error);
    for (const { cancelled, settle } of this.#pending.values()) {
      if (!cancelled) settle(error);
    }
    this.#pending.clear();
    if (!wasClosed) this.#listener.onClosed(this, error);
  }

  /** PIECE frames are checked one by one; of the rest only the requested page. */
  isAskedFor(answer: Exclude<Answer, { type: 21 }>): boolean {
    if (answer.type === AnswerType.Hashes)
      return this.#page?.first === answer.first;
    return answer.type === AnswerType.Piece;
  }

  onAnswer(answer: Exclude<Answer, { type: 21 }>): void {
    switch (answer.type) {
      case AnswerType.Piece:
        this.#onPiece(answer);
        return;
      case AnswerType.Reject:
        this.#onReject(answer);
        return;
      case AnswerType.HaveMap:
        this.#onHaveMap(answer);
        return;
      case AnswerType.Have:
        this.#onHave(answer);
        return;
      default:
        this.#onHashes(answer);
    }
  }

  #onPiece({ piece, offset, data }: Of<19>): void {
    const pending = this.#pending.get(piece);
    if (pending === undefined) throw malformed(`unrequested piece ${piece}`);
    const left = pending.sizeBytes - pending.filled;
    if (
      offset !== pending.filled ||
      data.length > left ||
      (data.length < MIN_DATA_BYTES && data.length < left)
    ) {
      throw malformed(
        `${data.length} bytes at ${offset} of piece ${piece}, expected at ${pending.filled}`,
      );
    }
    pending.filled += data.length;
    this.#stream.onData(data.length);
    if (!pending.cancelled) {
      pending.bytes ??= this.#stream.buffers.take(pending.sizeBytes);
      pending.bytes.set(data, offset);
    }
    if (pending.filled < pending.sizeBytes) return;
    this.#pending.delete(piece);
    this.#stream.onAnswered(0, pending);
    if (!pending.cancelled && pending.bytes !== undefined)
      pending.settle(pending.bytes);
    else this.#forgetIfDone();
  }

  #onReject({ piece, reason }: Of<20>): void {
    if (piece === WHOLE) {
      this.have = undefined;
      this.sizeBytes = undefined;
      this.#page?.settle(
        new ShoalError(
          "CONTENT_UNKNOWN",
          `${this.sourceId} does not have ${this.#root.slice(0, 12)}`,
          { peer: this.sourceId, root: this.#root },
        ),
      );
      if (!this.#closed) this.#listener.onChange(this);
      return;
    }
    const pending = this.#pending.get(piece);
    if (pending === undefined) throw malformed(`reject of piece ${piece}`);
    this.#pending.delete(piece);
    this.#stream.onAnswered(pending.sizeBytes - pending.filled);
    if (pending.cancelled) {
      this.#forgetIfDone();
      return;
    }
    const later = reason === Reason.TooMany || reason === Reason.Cancelled;
    if (!later) this.have?.delete(piece);
    pending.settle(
      new ShoalError(
        later ? "BUSY" : "PIECE_MISSING",
        `${this.sourceId} does not give piece ${piece} (reason ${reason})`,
        { peer: this.sourceId, piece },
      ),
    );
  }

  #onHaveMap({ sizeBytes, first, bits }: Of<16>): void {
    if (this.#closed) return;
    if (
      first === 0 ||
      this.sizeBytes !== sizeBytes ||
      this.have === undefined
    ) {
      this.sizeBytes = sizeBytes;
      this.have = new PieceSet(pieceCount(sizeBytes));
    }
    const came: number[] = [];
    for (const piece of new PieceSet(bits.length * 8, bits)) {
      this.have.add(first + piece);
      came.push(first + piece);
    }
    this.#listener.onHave(this, came, true);
  }

  #onHave({ pieces, verified }: Of<18>): void {
    if (this.#closed) return;
    const { have } = this;
    if (have === undefined) throw malformed("pieces before the map");
    if (pieces.some((piece) => piece >= have.size))
      throw malformed("a piece past the end");
    this.#listener.onHave(
      this,
      verified ? pieces.filter((piece) => have.add(piece)) : pieces,
      verified,
    );
  }

  #onHashes(page: Of<17>): void {
    if (this.#page?.first !== page.first) {
      // The answer to an abandoned request.
      return;
    }
    // The frame is valid only until this returns.
    this.#page.settle({ ...page, hashes: Uint8Array.from(page.hashes) });
  }

  #askPage(first: number, signal: AbortSignal): Promise<Of<17>> {
    return new Promise((resolve, reject) => {
      const cancelTimer = this.#stream.clock.after(DEFAULTS.metadataMs, () => {
        settle(
          new ShoalError(
            "DEADLINE",
            `${this.sourceId} sent no piece hashes within ${DEFAULTS.metadataMs} ms`,
            { peer: this.sourceId },
          ),
        );
      });
      const settle = (result: Of<17> | ShoalError): void => {
        this.#page = undefined;
        cancelTimer();
        signal.removeEventListener("abort", onAbort);
        if (result instanceof ShoalError) reject(result);
        else resolve(result);
      };
      const onAbort = (): void => settle(ShoalError.from(reasonOf(signal)));
      if (this.#closed || signal.aborted) {
        cancelTimer();
        reject(new ShoalError("ABORTED", "the link is closed"));
        return;
      }
      signal.addEventListener("abort", onAbort);
      this.#page = { first, settle };
      this.#stream.send(encodeAsk(AskType.AskHashes, this.#channel, first));
    });
  }

  #cancel(piece: number, reason: Error): void {
    const pending = this.#pending.get(piece);
    if (pending === undefined || pending.cancelled) return;
    this.#dropBytes(pending);
    this.#stream.send(encodeAsk(AskType.Cancel, this.#channel, piece));
    pending.settle(ShoalError.from(reason));
  }

  /** Later frames of it are counted and discarded. */
  #dropBytes(pending: Pending): void {
    pending.cancelled = true;
    if (pending.bytes !== undefined) this.#stream.buffers.give(pending.bytes);
    pending.bytes = undefined;
  }

  #forgetIfDone(): void {
    if (this.#closed && this.#pending.size === 0)
      this.#stream.onLinkClosed(this.#channel);
    else if (!this.#closed) this.#listener.onChange(this);
  }
}
