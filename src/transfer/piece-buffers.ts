/**
 * Reusable buffers of one piece each. A new megabyte for each piece would cost more than its hash, because V8 collects the whole heap each
 * time a few of them are dropped.
 */
import { PIECE_BYTES } from "../store/index.ts";

/** Unused buffers that are kept: what a few fast sources have in flight. */
const MAX_KEPT = 16;

export class PieceBuffers {
  readonly #free: Uint8Array[] = [];

  /** `sizeBytes` of any content. */
  take(sizeBytes: number): Uint8Array {
    const whole = this.#free.pop() ?? new Uint8Array(PIECE_BYTES);
    return sizeBytes === PIECE_BYTES ? whole : whole.subarray(0, sizeBytes);
  }

  /** Nobody uses it any more. */
  give(bytes: Uint8Array): void {
    if (
      bytes.buffer.byteLength === PIECE_BYTES &&
      this.#free.length < MAX_KEPT
    ) {
      this.#free.push(new Uint8Array(bytes.buffer));
    }
  }
}
