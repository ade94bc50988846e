/**
 * Cuts a byte stream into frames: u32 little-endian length, then that many bytes.
 *
 * A frame inside one chunk is passed on as a view, without a copy. Others are collected in a buffer that grows as bytes arrive, so that a
 * peer cannot cause an allocation by only announcing a large frame. If frames are finished when `onFrame` returns, one buffer serves them
 * all: in bulk transfers, allocating for each frame costs more than copying.
 */
import { ShoalError } from "../lib/index.ts";

export const FRAME_HEADER_BYTES = 4;

/** First size of the buffer; doubled as bytes arrive. */
const FIRST_BUFFER_BYTES = 256 * 1024;

export class FrameReader {
  readonly #maxFrameBytes: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  readonly #reuse: boolean;
  /** The last frame's buffer, for the next one. */
  #spare: Uint8Array | undefined;
  #header = 0;
  #headerBytes = 0;
  #length = 0;
  #body: Uint8Array | undefined;
  #bodyBytes = 0;

  constructor(
    maxFrameBytes: number,
    onFrame: (frame: Uint8Array) => void,
    { reuse = false }: { reuse?: boolean | undefined } = {},
  ) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#onFrame = onFrame;
    this.#reuse = reuse;
  }

  /** True between frames: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0;
  }

  /** Throws FRAME_TOO_LARGE; the reader is unusable afterwards. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.byteLength) {
      at =
        this.#headerBytes < FRAME_HEADER_BYTES
          ? this.#readHeader(chunk, at)
          : this.#readBody(chunk, at);
    }
  }

  #readHeader(chunk: Uint8Array, start: number): number {
    let at = start;
    while (this.#headerBytes < FRAME_HEADER_BYTES && at < chunk.byteLength) {
      this.#header |= (chunk[at++] ?? 0) << (8 * this.#headerBytes++);
    }
    if (this.#headerBytes === FRAME_HEADER_BYTES) {
      this.#length = this.#header >>> 0;
      if (this.#length > this.#maxFrameBytes) {
        throw frameTooLarge(this.#length, this.#maxFrameBytes);
      }
      // An empty frame has no body to wait for.
      if (this.#length === 0) this.#finish(chunk.subarray(at, at));
    }
    return at;
  }

  #readBody(chunk: Uint8Array, start: number): number {
    const missing = this.#length - this.#bodyBytes;
    const taken = Math.min(missing, chunk.byteLength - start);
    const end = start + taken;
    if (this.#body === undefined && taken === this.#length) {
      this.#finish(chunk.subarray(start, end));
      return end;
    }
    const body = this.#room(this.#bodyBytes + taken);
    body.set(chunk.subarray(start, end), this.#bodyBytes);
    this.#bodyBytes += taken;
    if (this.#bodyBytes === this.#length) {
      this.#finish(body.subarray(0, this.#length));
    }
    return end;
  }

  #room(bytes: number): Uint8Array {
    const old = this.#body;
    if (old !== undefined && bytes <= old.byteLength) return old;
    const spare = this.#spare;
    if (old === undefined && spare !== undefined && bytes <= spare.byteLength)
      return (this.#body = spare);
    const wanted = Math.max(
      bytes,
      2 * (old?.byteLength ?? 0),
      FIRST_BUFFER_BYTES,
    );
    // Not zeroed, because it is passed on only when full.
    const body = Buffer.allocUnsafeSlow(Math.min(this.#length, wanted));
    if (old !== undefined) body.set(old.subarray(0, this.#bodyBytes));
    this.#body = body;
    return body;
  }

  #finish(frame: Uint8Array): void {
    this.#header = 0;
    this.#headerBytes = 0;
    this.#length = 0;
    if (this.#reuse) this.#spare = this.#body ?? this.#spare;
    this.#body = undefined;
    this.#bodyBytes = 0;
    this.#onFrame(frame);
  }
}

export function frameTooLarge(bytes: number, limit: number): ShoalError {
  return new ShoalError(
    "FRAME_TOO_LARGE",
    `a frame of ${bytes} bytes is over the limit of ${limit}`,
    { bytes, limit },
  );
}
