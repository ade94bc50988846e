/** The sending half of a frame stream: an ordered, bounded queue with a deadline for its progress. */
import type { Stream } from "@libp2p/interface";
import { Uint8ArrayList } from "uint8arraylist";
import { ShoalError } from "../lib/index.ts";
import { DEFAULTS } from "./defaults.ts";
import { FRAME_HEADER_BYTES, frameTooLarge } from "./frame-reader.ts";

/** How far a sender that does not wait may fill the queue, in high-water marks. */
const OVERFLOW_FACTOR = 8;

export interface FrameWriterInit {
  raw: Stream;
  peer: string;
  maxFrameBytes: number;
  highWaterBytes: number;
  deadlineMs: number;
  /** The peer takes nothing, or the sender does not wait: abort the stream. */
  onFault: (error: ShoalError) => void;
}

export class FrameWriter {
  readonly #init: FrameWriterInit;
  readonly #raw: Stream;
  #drained: PromiseWithResolvers<void> | undefined;
  /** When the queue last moved, ms; 0 while nothing is queued. */
  #stalledSinceMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(init: FrameWriterInit) {
    this.#init = init;
    this.#raw = init.raw;
    const onProgress = (): void => this.#onProgress();
    // `drain` alone is not enough: the queue may empty without one. libp2p's onDrain() works only once.
    this.#raw.addEventListener("drain", onProgress);
    this.#raw.addEventListener("idle", onProgress);
  }

  get queuedBytes(): number {
    return this.#raw.writeBufferLength;
  }

  /** Undefined while the queue is short, else a promise that resolves when it is. Rejections need not be handled. */
  send(parts: Uint8Array[]): Promise<void> | undefined {
    let bytes = 0;
    for (const part of parts) bytes += part.byteLength;
    if (bytes > this.#init.maxFrameBytes) {
      return rejected(frameTooLarge(bytes, this.#init.maxFrameBytes));
    }
    this.#raw.send(encodeFrame(parts, bytes));
    const queued = this.#raw.writeBufferLength;
    if (queued === 0 && !this.#raw.writableNeedsDrain) return undefined;
    if (this.#stalledSinceMs === 0) this.#stalledSinceMs = performance.now();
    if (this.#timer === undefined) this.#watch(this.#init.deadlineMs);
    return queued <= this.#init.highWaterBytes ? undefined : this.#full(queued);
  }

  stop(reason: ShoalError): void {
    clearTimeout(this.#timer);
    this.#drained?.reject(reason);
  }

  #full(queued: number): Promise<void> {
    const { highWaterBytes, maxFrameBytes, peer } = this.#init;
    if (queued > OVERFLOW_FACTOR * Math.max(highWaterBytes, maxFrameBytes)) {
      const overflow = new ShoalError(
        "STREAM_OVERFLOW",
        `${queued} bytes are queued for ${peer}: the sender did not wait`,
        { peer, queued },
      );
      this.#init.onFault(overflow);
      return rejected(overflow);
    }
    if (this.#drained === undefined) {
      this.#drained = Promise.withResolvers();
      handled(this.#drained.promise);
    }
    return this.#drained.promise;
  }

  #onProgress(): void {
    const queued = this.#raw.writeBufferLength;
    const waits = queued > 0 || this.#raw.writableNeedsDrain;
    this.#stalledSinceMs = waits ? performance.now() : 0;
    if (queued <= this.#init.highWaterBytes / 2) {
      this.#drained?.resolve();
      this.#drained = undefined;
    }
  }

  /** One timer for many sends: it checks whether the queue moved, and runs again if so. */
  #watch(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#stalledSinceMs === 0) return;
      const { deadlineMs, peer } = this.#init;
      const leftMs = this.#stalledSinceMs + deadlineMs - performance.now();
      if (leftMs > 1) {
        this.#watch(leftMs);
        return;
      }
      this.#init.onFault(
        new ShoalError(
          "DEADLINE",
          `${peer} took no byte of a stream for ${deadlineMs} ms`,
          { peer, timeoutMs: deadlineMs },
        ),
      );
    }, ms).unref();
  }
}

/** Small frames as one buffer: one native write, one chain of TLS records. Large ones are sent unchanged. */
function encodeFrame(
  parts: Uint8Array[],
  bytes: number,
): Uint8Array | Uint8ArrayList {
  const whole = bytes <= DEFAULTS.coalesceBytes;
  const head = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + (whole ? bytes : 0));
  head.writeUInt32LE(bytes, 0);
  if (!whole) return new Uint8ArrayList(head, ...parts);
  let at = FRAME_HEADER_BYTES;
  for (const part of parts) {
    head.set(part, at);
    at += part.byteLength;
  }
  return head;
}

export function rejected(reason: ShoalError): Promise<void> {
  const promise: Promise<void> = Promise.reject(reason);
  handled(promise);
  return promise;
}

/** The stream's close reports the same, so nobody has to catch this one. */
function handled(promise: Promise<void>): void {
  promise.catch(() => {});
}
