/** The last frames that a session sent to its next stage, in memory that is used again and again. */
export class SentFrames {
  readonly #frames: Buffer[] = [];
  readonly #lengths: number[] = [];
  readonly #capacity: number;
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Room for one more frame; the oldest one gives way. */
  add(length: number): Buffer {
    const at = this.#next % this.#capacity;
    this.#next++;
    let buffer = this.#frames[at];
    // A prompt's chunk is large; tokens after it should not keep its memory.
    if (
      buffer === undefined ||
      buffer.length < length ||
      buffer.length > 16 * Math.max(length, 4096)
    ) {
      buffer = Buffer.allocUnsafeSlow(length);
      this.#frames[at] = buffer;
    }
    this.#lengths[at] = length;
    return buffer.length === length ? buffer : buffer.subarray(0, length);
  }

  /** Oldest first. */
  *kept(): Generator<Buffer> {
    for (
      let n = Math.max(0, this.#next - this.#capacity);
      n < this.#next;
      n++
    ) {
      const at = n % this.#capacity;
      const frame = this.#frames[at];
      if (frame !== undefined) yield frame.subarray(0, this.#lengths[at]);
    }
  }
}
