/**
 * The long-lived kind of stream: frames in order, both ways, over QUIC or TCP. Every token takes this path, so there is no promise, timer
 * or copy that the transport does not force.
 *
 * - A frame is a u32 little-endian length and that many bytes. The length is checked before anything is allocated.
 * - `send` returns undefined while the queue is short, else a promise: wait for it before sending more. Parts belong to the
 *   stream from then on; do not write to them again.
 * - A frame given to `onFrame` stays valid and unchanged for as long as it is referenced. It may be a view: not aligned for
 *   Float32Array, and keeping it may pin up to 64 KiB. Copy what is small and kept long.
 * - While a handler's promise is pending, frames queue; over the high-water mark the stream stops reading, and the peer's
 *   `send` waits in turn.
 * - `onClose` comes exactly once: without an error only after a clean end between two frames.
 */
import type {
  Stream,
  StreamCloseEvent,
  StreamMessageEvent,
} from "@libp2p/interface";
import { ShoalError } from "../lib/index.ts";
import type { TransportName } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import { streamClosed } from "./failures.ts";
import { FrameReader } from "./frame-reader.ts";
import { FrameWriter, rejected } from "./frame-writer.ts";

export type FrameHandler = (frame: Uint8Array) => void | Promise<void>;

export interface FrameStream {
  readonly peer: string;
  readonly protocol: string;
  readonly transport: TransportName;
  /** The peer's, on the stream's connection. */
  readonly address: string;
  /** Bytes given to `send` that the transport has not taken yet. */
  readonly queuedBytes: number;
  /** Sends one frame made of `parts`. Never throws; the promise rejects if the stream is closed or the frame too large. */
  send(...parts: Uint8Array[]): Promise<void> | undefined;
  /** Frames wait until this is called; a second call replaces the handler. One that throws or rejects aborts the stream. */
  onFrame(handler: FrameHandler): void;
  /** May be called any time, several times. */
  onClose(listener: (error: ShoalError | undefined) => void): void;
  /** Sends what is queued, within the write deadline, and ends. The peer may still answer until it ends its side, for 2 s. */
  close(): Promise<void>;
  /** Drops everything; the peer sees a reset. */
  abort(error: ShoalError): void;
}

export interface FrameStreamOptions {
  /** Largest frame to receive and to send. */
  maxFrameBytes: number;
  /** The limit for sending, if it differs. */
  maxSendFrameBytes?: number | undefined;
  writeDeadlineMs?: number | undefined;
  sendHighWaterBytes?: number | undefined;
  receiveHighWaterBytes?: number | undefined;
  /** A frame is valid only until its handler returns: the next one is read into the same memory. */
  reuseFrames?: boolean | undefined;
  /** What to send before the stream is closed because of the peer's error, so that it learns the reason. */
  lastWords?: ((error: ShoalError) => Uint8Array) | undefined;
}

type State = "open" | "closing" | "closed";

export class Libp2pFrameStream implements FrameStream {
  readonly peer: string;
  readonly protocol: string;
  readonly transport: TransportName;
  readonly address: string;

  readonly #raw: Stream;
  readonly #options: FrameStreamOptions;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #receiveHighWaterBytes: number;
  readonly #writeDeadlineMs: number;
  #state: State = "open";
  #error: ShoalError | undefined;
  #onClose: ((error: ShoalError | undefined) => void)[] = [];

  // receiving
  #handler: FrameHandler | undefined;
  #handling = false;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #remoteEnded = false;
  #readEnded = false;

  constructor(
    raw: Stream,
    about: { peer: string; address: string; transport: TransportName },
    options: FrameStreamOptions,
  ) {
    this.peer = about.peer;
    this.transport = about.transport;
    this.address = about.address;
    this.protocol = raw.protocol;
    this.#raw = raw;
    this.#options = options;
    const {
      maxFrameBytes,
      maxSendFrameBytes = maxFrameBytes,
      writeDeadlineMs = DEFAULTS.writeDeadlineMs,
      sendHighWaterBytes = DEFAULTS.sendHighWaterBytes,
      receiveHighWaterBytes = DEFAULTS.receiveHighWaterBytes,
      reuseFrames,
    } = options;
    this.#receiveHighWaterBytes = receiveHighWaterBytes;
    this.#writeDeadlineMs = writeDeadlineMs;
    this.#writer = new FrameWriter({
      raw,
      peer: about.peer,
      maxFrameBytes: maxSendFrameBytes,
      highWaterBytes: sendHighWaterBytes,
      deadlineMs: writeDeadlineMs,
      onFault: (error) => this.abort(error),
    });
    this.#reader = new FrameReader(
      maxFrameBytes,
      (frame) => this.#receive(frame),
      { reuse: reuseFrames },
    );
    // Negotiation was asynchronous: the peer may have ended its side meanwhile.
    this.#remoteEnded =
      raw.remoteWriteStatus === "closed" && raw.status === "open";
    raw.addEventListener("remoteCloseWrite", () => {
      this.#remoteEnded = true;
    });
    raw.addEventListener("end", () => this.#onReadEnd());
    raw.addEventListener("close", (event) => this.#onRawClose(event));
    if (raw.status !== "open" && raw.status !== "closing") {
      queueMicrotask(() => this.#finish(streamClosed(this.peer, undefined)));
    } else if (raw.readableEnded) {
      queueMicrotask(() => this.#onReadEnd());
    }
  }

  get queuedBytes(): number {
    return this.#writer.queuedBytes;
  }

  send(...parts: Uint8Array[]): Promise<void> | undefined {
    if (this.#state !== "open") {
      return rejected(
        this.#error ??
          streamClosed(this.peer, new Error("closed by this side")),
      );
    }
    try {
      return this.#writer.send(parts);
    } catch (error) {
      const closed = streamClosed(this.peer, error);
      this.abort(closed);
      return rejected(closed);
    }
  }

  onFrame(handler: FrameHandler): void {
    const first = this.#handler === undefined;
    this.#handler = handler;
    if (!first) return;
    this.#raw.addEventListener("message", (event) => this.#onMessage(event));
  }

  onClose(listener: (error: ShoalError | undefined) => void): void {
    if (this.#state === "closed") {
      queueMicrotask(() => listener(this.#error));
    } else {
      this.#onClose.push(listener);
    }
  }

  async close(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closing";
    try {
      await this.#raw.close({
        signal: AbortSignal.timeout(this.#writeDeadlineMs),
      });
    } catch (error) {
      this.abort(streamClosed(this.peer, error));
      return;
    }
    setTimeout(() => this.#finish(undefined), DEFAULTS.lingerMs).unref();
  }

  abort(error: ShoalError): void {
    if (this.#state === "closed") return;
    this.#finish(error);
  }

  // receiving

  #onMessage(event: StreamMessageEvent): void {
    if (this.#state === "closed") return;
    try {
      const { data } = event;
      if (data instanceof Uint8Array) {
        this.#reader.push(data);
      } else {
        for (const chunk of data) this.#reader.push(chunk);
      }
    } catch (error) {
      this.#refuse(ShoalError.from(error));
    }
  }

  #receive(frame: Uint8Array): void {
    if (this.#state === "closed") return;
    if (!this.#handling) {
      this.#handle(frame);
      return;
    }
    this.#waiting.push(
      this.#options.reuseFrames === true ? Uint8Array.from(frame) : frame,
    );
    this.#waitingBytes += costOf(frame);
    if (
      this.#waitingBytes > this.#receiveHighWaterBytes &&
      this.#raw.readStatus === "readable"
    ) {
      this.#raw.pause();
    }
  }

  #handle(frame: Uint8Array): void {
    try {
      const pending = this.#handler?.(frame);
      if (pending === undefined) return;
      this.#handling = true;
      pending.then(
        () => this.#handleWaiting(),
        (error: unknown) => this.abort(ShoalError.from(error)),
      );
    } catch (error) {
      this.abort(ShoalError.from(error));
    }
  }

  #handleWaiting(): void {
    this.#handling = false;
    let handled = 0;
    while (
      !this.#handling &&
      handled < this.#waiting.length &&
      this.#state !== "closed"
    ) {
      const frame = this.#waiting[handled++];
      if (frame === undefined) break;
      this.#waitingBytes -= costOf(frame);
      this.#handle(frame);
    }
    this.#waiting.splice(0, handled);
    if (
      this.#raw.readStatus === "paused" &&
      this.#waitingBytes <= this.#receiveHighWaterBytes / 2
    ) {
      this.#raw.resume();
    }
    if (this.#readEnded) this.#onReadEnd();
  }

  /** Everything has been read; it may still wait for the handler. */
  #onReadEnd(): void {
    this.#readEnded = true;
    // A reset or a lost connection ends reading too; the `close` event reports it.
    if (
      !this.#remoteEnded ||
      this.#raw.status === "aborted" ||
      this.#raw.status === "reset"
    )
      return;
    if (this.#handling || this.#waiting.length > 0) return;
    if (this.#reader.atBoundary) {
      this.#endCleanly();
    } else {
      this.abort(streamClosed(this.peer, new Error("it ended inside a frame")));
    }
  }

  #onRawClose(event: StreamCloseEvent): void {
    if (event.error !== undefined) {
      this.#finish(streamClosed(this.peer, event.error));
    } else if (this.#state === "open" && !this.#remoteEnded) {
      this.#finish(streamClosed(this.peer, undefined));
    } else if (
      this.#state === "closing" &&
      !(this.#remoteEnded && !this.#readEnded)
    ) {
      this.#finish(undefined);
    }
  }

  /** The peer broke a rule: tell it why if we can, and stop listening to it. */
  #refuse(fault: ShoalError): void {
    const words = this.#options.lastWords?.(fault);
    if (words === undefined || this.#state !== "open") {
      this.abort(fault);
      return;
    }
    void this.#writer.send([words]);
    this.#settle(fault);
    this.#endRaw(DEFAULTS.lingerMs);
    setTimeout(() => this.#raw.abort(fault), DEFAULTS.lingerMs).unref();
  }

  // closing

  #endCleanly(): void {
    // libp2p frees a stream only when both sides have ended it.
    this.#endRaw(this.#writeDeadlineMs);
    this.#settle(undefined);
  }

  #endRaw(timeoutMs: number): void {
    this.#raw.close({ signal: AbortSignal.timeout(timeoutMs) }).catch(() => {});
  }

  #finish(error: ShoalError | undefined): void {
    if (this.#state === "closed") return;
    this.#settle(error);
    this.#raw.abort(error ?? new Error("closed"));
  }

  #settle(error: ShoalError | undefined): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#error = error;
    this.#writer.stop(error ?? streamClosed(this.peer, undefined));
    this.#waiting = [];
    this.#waitingBytes = 0;
    const listeners = this.#onClose;
    this.#onClose = [];
    for (const listener of listeners) listener(error);
  }
}

/** The memory that a small frame takes: its view and its entry in the queue. */
function costOf(frame: Uint8Array): number {
  return frame.byteLength + 128;
}
