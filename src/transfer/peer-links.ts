/**
 * The requesting end of a torrent stream: its channels, the window of requests, and the watch over a stalled peer. Unrequested frames end
 * the stream.
 */
import { ShoalError, type Clock } from "../lib/index.ts";
import type { FrameStream } from "../network/index.ts";
import { PeerLink, type PeerStream } from "./peer-link.ts";
import type { PieceBuffers } from "./piece-buffers.ts";
import { ByteRate } from "./byte-rate.ts";
import type { LinkListener } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";
import { PIECE_BYTES, type Root } from "../store/index.ts";
import {
  type Answer,
  AnswerType,
  decodeAnswer,
  encodeInterest,
  malformed,
} from "./wire.ts";

export interface PeerLinksOptions {
  stream: FrameStream;
  clock: Clock;
  buffers: PieceBuffers;
  stallMs: number;
  /** No content is open any more. */
  onIdle: () => void;
}

/** The weight of the latest piece in the speed. */
const SMOOTHING = 0.3;

export class PeerLinks implements PeerStream {
  readonly peer: string;
  readonly clock: Clock;
  readonly buffers: PieceBuffers;
  readonly #stream: FrameStream;
  readonly #options: PeerLinksOptions;
  readonly #links = new Map<number, PeerLink>();
  #nextChannel = 0;
  #closed: ShoalError | undefined;
  readonly #chatter: ByteRate;

  /** Requested and not received yet. */
  outstandingBytes = 0;
  outstandingPieces = 0;
  waiting = false;
  lastDataMs = 0;
  bytesPerSecond: number | undefined;
  #lastPieceMs = 0;

  // since the last sign of progress
  #progressBytes = 0;
  #progressMs = 0;
  #cancelWatch: (() => void) | undefined;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.peer = options.stream.peer;
    this.clock = options.clock;
    this.buffers = options.buffers;
    this.#chatter = new ByteRate(
      options.clock,
      DEFAULTS.chatterBytesPerSecond,
      DEFAULTS.chatterBurstBytes,
    );
    this.#stream.onClose((error) => this.#onClose(error));
    this.#stream.onFrame((frame) => this.#onFrame(frame));
  }

  open(root: Root, listener: LinkListener): PeerLink {
    if (this.#closed !== undefined) throw this.#closed;
    const channel = this.#nextChannel++;
    const link = new PeerLink(this, channel, root, listener);
    this.#links.set(channel, link);
    this.send(encodeInterest(channel, root));
    return link;
  }

  /** A peer that makes us wait keeps one request, which holds our place in its queue. */
  get room(): number {
    if (this.#closed !== undefined) return 0;
    return (this.waiting ? 1 : this.#window()) - this.outstandingPieces;
  }

  send(frame: Uint8Array): void {
    // Requests are small and few: the stream's own bound suffices.
    void this.#stream.send(frame);
  }

  abort(error: ShoalError): void {
    this.#stream.abort(error);
  }

  closeIfIdle(): void {
    if (this.#links.size === 0) {
      this.#stream.close().catch(() => {});
    }
  }

  // told by the links

  onAsked(sizeBytes: number): void {
    if (this.outstandingPieces === 0) this.#noteProgress();
    this.outstandingPieces++;
    this.outstandingBytes += sizeBytes;
    this.#watch();
  }

  onData(sizeBytes: number): void {
    this.lastDataMs = this.clock.now();
    this.outstandingBytes -= sizeBytes;
    this.#progressBytes += sizeBytes;
    if (this.#progressBytes >= DEFAULTS.minProgressBytes) this.#noteProgress();
  }

  onAnswered(
    leftBytes: number,
    arrived?: { sizeBytes: number; askedMs: number },
  ): void {
    this.outstandingPieces--;
    this.outstandingBytes -= leftBytes;
    this.#noteProgress();
    if (arrived === undefined) return;
    const now = this.clock.now();
    const busyMs = now - Math.max(arrived.askedMs, this.#lastPieceMs);
    this.#lastPieceMs = now;
    const rate = (arrived.sizeBytes / Math.max(busyMs, 1)) * 1000;
    this.bytesPerSecond =
      this.bytesPerSecond === undefined
        ? rate
        : SMOOTHING * rate + (1 - SMOOTHING) * this.bytesPerSecond;
  }

  onLinkClosed(channel: number): void {
    this.#links.delete(channel);
    if (this.#links.size === 0 && this.#closed === undefined)
      this.#options.onIdle();
  }

  #window(): number {
    const { windowBytes, windowMs, firstWindowPieces } = DEFAULTS;
    if (this.bytesPerSecond === undefined) return firstWindowPieces;
    const pieces =
      (this.bytesPerSecond * (windowMs / 1000)) / PIECE_BYTES - 0.25;
    return Math.max(
      1,
      Math.min(1 + Math.ceil(pieces), windowBytes / PIECE_BYTES),
    );
  }

  #onFrame(frame: Uint8Array): void {
    const answer = decodeAnswer(frame);
    if (answer.type === AnswerType.Slot) {
      this.#countChatter(frame.length);
      this.#onSlot(answer.served);
      return;
    }
    const link = this.#links.get(answer.channel);
    if (link?.isAskedFor(answer) !== true) this.#countChatter(frame.length);
    if (link !== undefined) link.onAnswer(answer);
    else if (!this.#isLate(answer)) {
      throw malformed(`channel ${answer.channel} is not open`);
    }
  }

  /** In flight when we left. Each request gets its whole answer before the channel is gone. */
  #isLate(answer: Exclude<Answer, { type: typeof AnswerType.Slot }>): boolean {
    return (
      answer.channel < this.#nextChannel && answer.type !== AnswerType.Piece
    );
  }

  #onSlot(served: boolean): void {
    // Repeated frames are not progress.
    if (this.waiting === served) this.#noteProgress();
    this.waiting = !served;
    for (const link of this.#links.values()) link.onRoom();
  }

  #countChatter(bytes: number): void {
    if (this.#chatter.delayMs() > 0) throw malformed("too many frames");
    this.#chatter.take(Math.max(bytes, DEFAULTS.chatterFrameBytes));
  }

  // stalls

  #noteProgress(): void {
    this.#progressBytes = 0;
    this.#progressMs = this.clock.now();
  }

  #watch(): void {
    const { stallMs } = this.#options;
    this.#cancelWatch ??= this.clock.after(stallMs / 4, () => {
      this.#cancelWatch = undefined;
      if (this.outstandingPieces === 0 || this.#closed !== undefined) return;
      if (this.waiting) this.#noteProgress();
      if (this.clock.now() - this.#progressMs >= stallMs) {
        this.abort(
          new ShoalError(
            "DEADLINE",
            `${this.peer} delivered nothing for ${stallMs} ms`,
            { peer: this.peer, timeoutMs: stallMs },
          ),
        );
        return;
      }
      this.#watch();
    });
  }

  #onClose(error: ShoalError | undefined): void {
    this.#closed =
      error ??
      new ShoalError("STREAM_CLOSED", `${this.peer} ended the stream`, {
        peer: this.peer,
      });
    this.#cancelWatch?.();
    for (const link of this.#links.values()) link.onStreamClosed(this.#closed);
    this.#links.clear();
  }
}
