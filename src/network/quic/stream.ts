/** One QUIC stream as libp2p sees it, with back-pressure both ways. A reset is an error, not an end. */
import {
  AbstractStream,
  type AbstractStreamInit,
  type SendResult,
} from "@libp2p/utils";
import type { Uint8ArrayList } from "uint8arraylist";
import { DEFAULTS } from "../defaults.ts";
import type { NativeStream } from "./native.ts";

/** Unread bytes at which reading stops, so that QUIC's window closes. */
const UNREAD_LIMIT_BYTES = 256 * 1024;

/**
 * The binding allocates the requested size outside V8's heap, and V8 collects garbage by that size: a stream of heartbeats that requests
 * 64 KiB each time costs an idle node a tenth of its CPU time. So a stream requests little until its reads come back full.
 */
const FIRST_READ_BYTES = 4 * 1024;
/** Consecutive reads that used an eighth of the requested size, after which less is requested. */
const SMALL_READS = 16;

export interface QuicStreamInit extends AbstractStreamInit {
  native: NativeStream;
}

export class QuicStream extends AbstractStream {
  readonly #native: NativeStream;
  #wake: (() => void) | undefined;
  #askBytes = FIRST_READ_BYTES;
  #smallReads = 0;

  constructor(init: QuicStreamInit) {
    super({
      ...init,
      maxMessageSize: DEFAULTS.quicWriteBytes,
      maxReadBufferLength: DEFAULTS.readBufferBytes,
    });
    this.#native = init.native;
    void this.#readLoop();
  }

  /** One native write at a time; the next follows on `drain`, with everything queued since. */
  sendData(data: Uint8ArrayList): SendResult {
    const sentBytes = data.byteLength;
    this.#native.write(data.subarray()).then(
      () => this.safeDispatchEvent("drain"),
      (error: unknown) => this.#onFault(error),
    );
    return { sentBytes, canSendMore: false };
  }

  /**
   * A native write that waits for the peer's window holds the lock that this needs. The reset then leaves when the peer reads on, or with
   * the connection.
   */
  sendReset(): void {
    void this.#native.resetWrite();
    void this.#native.stopRead();
    this.#wakeUp();
  }

  async sendCloseWrite(): Promise<void> {
    await this.#native.finishWrite();
  }

  async sendCloseRead(): Promise<void> {}

  /** There is nothing to send: the read loop stops, and the window closes. */
  sendPause(): void {}

  sendResume(): void {
    this.#wakeUp();
  }

  protected override dispatchReadBuffer(): void {
    super.dispatchReadBuffer();
    if (!this.#isFull()) this.#wakeUp();
  }

  async #readLoop(): Promise<void> {
    try {
      while (this.status === "open" || this.status === "closing") {
        if (this.#isFull()) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          continue;
        }
        const chunk = await this.#native.read(this.#askBytes);
        if (chunk === null) {
          this.onRemoteCloseWrite();
          return;
        }
        this.#fitAsk(chunk.length);
        this.onData(chunk);
      }
    } catch (error) {
      this.#onFault(error);
    }
  }

  #fitAsk(readBytes: number): void {
    if (readBytes === this.#askBytes) {
      this.#askBytes = Math.min(4 * this.#askBytes, DEFAULTS.quicReadBytes);
      this.#smallReads = 0;
    } else if (readBytes * 8 > this.#askBytes) {
      this.#smallReads = 0;
    } else if (++this.#smallReads >= SMALL_READS) {
      this.#askBytes = Math.max(this.#askBytes / 4, FIRST_READ_BYTES);
      this.#smallReads = 0;
    }
  }

  #isFull(): boolean {
    return (
      this.readStatus === "paused" || this.readBufferLength > UNREAD_LIMIT_BYTES
    );
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** The binding distinguishes errors only by text: "stream reset by peer", "sending stopped by peer", else the connection is lost. */
  #onFault(thrown: unknown): void {
    if (this.status !== "open" && this.status !== "closing") return;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    if (/(reset|stopped) by peer/.test(error.message)) {
      void this.#native.resetWrite();
      void this.#native.stopRead();
      this.onRemoteReset();
    } else {
      this.abort(error);
    }
  }
}
