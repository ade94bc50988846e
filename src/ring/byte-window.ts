import { allocate, type Memory } from "./libc.ts";

/** Bytes that were put in at the end and not yet taken from the start, in one reused stretch of memory that grows when it must. */
export class ByteWindow {
  memory: Memory;
  start = 0;
  end = 0;
  /** The most bytes held since the last `trim`. */
  #peak = 0;
  readonly #least: number;

  constructor(byteLength: number, least: number = byteLength) {
    this.memory = allocate(byteLength);
    this.#least = least;
  }

  get length(): number {
    return this.end - this.start;
  }

  get room(): number {
    return this.memory.bytes.length - this.end;
  }

  /** Makes room for `byteLength` more at the end: moves what there is to the front, or takes more memory. */
  reserve(byteLength: number): void {
    const { length } = this;
    this.#peak = Math.max(this.#peak, length + byteLength);
    if (this.room >= byteLength) return;
    const capacity = this.memory.bytes.length;
    // Moving costs as much as it frees only if at least half was taken.
    if (length + byteLength <= capacity && this.start >= length)
      this.memory.bytes.copyWithin(0, this.start, this.end);
    else this.#resize(Math.max(this.#least, length + byteLength, 2 * capacity));
    this.start = 0;
    this.end = length;
  }

  /** `byteLength` more bytes were put in at the end. */
  put(byteLength: number): void {
    this.end += byteLength;
  }

  /** `byteLength` bytes were taken from the start. */
  take(byteLength: number): void {
    this.start += byteLength;
    if (this.start === this.end) this.start = this.end = 0;
  }

  /** Gives memory back that was not needed since the last call. */
  trim(): void {
    const wanted = Math.max(this.#least, this.#peak);
    if (this.length === 0 && this.memory.bytes.length > 4 * wanted)
      this.#resize(wanted);
    this.#peak = 0;
  }

  #resize(byteLength: number): void {
    const old = this.memory.bytes;
    // Whole pages, and a multiple of 8.
    this.memory = allocate(Math.ceil(byteLength / 4096) * 4096);
    this.memory.bytes.set(old.subarray(this.start, this.end));
  }
}
