/**
 * Reads a GGUF header front to back in bounded chunks. It returns only what was in the file; everything else is an error with its position.
 */
import { Buffer } from "node:buffer";
import { basename } from "node:path";
import { reasonOf, ShoalError, type ErrorCode } from "../lib/index.ts";
import type { ByteFile } from "./files.ts";
import { MAX_HEADER_BYTES } from "./limits.ts";
import { decodeText } from "./text.ts";

/** Small enough for a tiny file, large enough that a vocabulary needs few reads. */
const CHUNK_BYTES = 256 * 1024;

export class HeaderCursor {
  readonly path: string;
  readonly sizeBytes: number;
  #file: ByteFile;
  #signal: AbortSignal | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  /** The next byte to return, in the buffer, and the buffer's position in the file. */
  #at = 0;
  #base = 0;

  constructor(file: ByteFile, path: string, signal: AbortSignal | undefined) {
    this.#file = file;
    this.path = path;
    this.sizeBytes = file.sizeBytes;
    this.#signal = signal;
  }

  /** Position of the next byte in the file. */
  get offset(): number {
    return this.#base + this.#at;
  }

  /** An error about the bytes at `offset` (default: those about to be read). */
  error(code: ErrorCode, what: string, offset = this.offset): ShoalError {
    return new ShoalError(
      code,
      `${basename(this.path)}: ${what} (at byte ${offset})`,
      { path: this.path, offset },
    );
  }

  /** Refuses a claim of `bytes` more bytes that the file or a header cannot hold. Call it before any allocation. */
  mustHold(bytes: number, what: string): void {
    const end = this.offset + bytes;
    if (end > this.sizeBytes) {
      throw this.error(
        "GGUF_TRUNCATED",
        `the file ends inside ${what}: ${bytes} bytes are needed, ${this.sizeBytes - this.offset} are left`,
      );
    }
    if (end > MAX_HEADER_BYTES) {
      throw this.error(
        "GGUF_LIMIT",
        `the header is longer than ${MAX_HEADER_BYTES} bytes`,
      );
    }
  }

  /** Makes the next `bytes` bytes available to the methods below; synchronous (undefined) when they already are. */
  need(bytes: number, what: string): Promise<void> | undefined {
    return this.#buffer.length - this.#at >= bytes
      ? undefined
      : this.#fill(bytes, what);
  }

  uint32(): number {
    this.#at += 4;
    return this.#buffer.readUInt32LE(this.#at - 4);
  }

  /** A 64-bit count; NaN if a number cannot represent it exactly. */
  count(): number {
    this.#at += 8;
    const value =
      this.#buffer.readUInt32LE(this.#at - 8) +
      this.#buffer.readUInt32LE(this.#at - 4) * 2 ** 32;
    return Number.isSafeInteger(value) ? value : NaN;
  }

  /** The next `bytes` bytes, valid until the next call of `need`. */
  bytes(bytes: number): Buffer {
    this.#at += bytes;
    return this.#buffer.subarray(this.#at - bytes, this.#at);
  }

  async string(maxBytes: number, what: string): Promise<string> {
    const length = this.need(8, what);
    if (length !== undefined) await length;
    const start = this.offset;
    const size = this.count();
    // Compared this way round, NaN counts as too long.
    if (!(size <= maxBytes)) {
      throw this.error(
        "GGUF_LIMIT",
        `${what} is longer than ${maxBytes} bytes`,
        start,
      );
    }
    const content = this.need(size, what);
    if (content !== undefined) await content;
    return decodeText(this.bytes(size));
  }

  /** The next string if all of it is buffered, without the cost of a promise: a vocabulary has hundreds of thousands. */
  bufferedString(maxBytes: number): string | undefined {
    const left = this.#buffer.length - this.#at - 8;
    if (left < 0) return undefined;
    const size = this.count();
    if (size <= left && size <= maxBytes) return decodeText(this.bytes(size));
    this.#at -= 8;
    return undefined;
  }

  /** Fills memory of any size, past the buffer. */
  async readInto(target: Uint8Array, what: string): Promise<void> {
    this.mustHold(target.length, what);
    const buffered = Math.min(target.length, this.#buffer.length - this.#at);
    target.set(this.bytes(buffered));
    if (buffered === target.length) return;
    await this.#file.read(target.subarray(buffered), this.offset);
    this.#base = this.offset + target.length - buffered;
    this.#at = 0;
    this.#buffer = Buffer.alloc(0);
  }

  async #fill(bytes: number, what: string): Promise<void> {
    if (this.#signal?.aborted === true) throw reasonOf(this.#signal);
    this.mustHold(bytes, what);
    const rest = this.#buffer.subarray(this.#at);
    const size = Math.min(
      Math.max(bytes, CHUNK_BYTES),
      this.sizeBytes - this.offset,
    );
    const next = Buffer.allocUnsafe(size);
    rest.copy(next);
    await this.#file.read(
      next.subarray(rest.length),
      this.offset + rest.length,
    );
    this.#base = this.offset;
    this.#at = 0;
    this.#buffer = next;
  }
}
