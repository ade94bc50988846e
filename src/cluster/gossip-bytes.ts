/** Bytes in order, big-endian, with a bound on every length. */
import { ShoalError } from "../lib/index.ts";
import { ID_BYTES } from "./records.ts";

const FIRST_BYTES = 1024;

export class ByteWriter {
  #bytes = Buffer.alloc(FIRST_BYTES);
  #at = 0;

  uint(value: number, size: number): void {
    this.#room(size);
    this.#at = this.#bytes.writeUIntBE(value, this.#at, size);
  }

  bytes(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** With its length before it, in `size` bytes. */
  block(bytes: Uint8Array, size: number): void {
    this.uint(bytes.length, size);
    this.bytes(bytes);
  }

  text(text: string, size: number): void {
    this.block(Buffer.from(text), size);
  }

  /** A holder's, base64url. */
  id(id: string): void {
    this.#room(ID_BYTES);
    this.#bytes.write(id, this.#at, ID_BYTES, "base64url");
    this.#at += ID_BYTES;
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  #room(size: number): void {
    const need = this.#at + size;
    if (need <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(need, 2 * this.#bytes.length));
    this.#bytes.copy(larger);
    this.#bytes = larger;
  }
}

/** Throws COMMAND_MALFORMED where there are fewer bytes than said. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  uint(size: number): number {
    return this.#take(size).readUIntBE(0, size);
  }

  /** A view. */
  bytes(size: number): Uint8Array {
    return this.#take(size);
  }

  /** A view, with its length before it in `size` bytes. */
  block(size: number): Uint8Array {
    return this.#take(this.uint(size));
  }

  text(size: number, most: number): string {
    const bytes = this.#take(this.uint(size));
    if (bytes.length === 0 || bytes.length > most)
      throw malformed(`a text of ${bytes.length} bytes`);
    return bytes.toString("utf8");
  }

  id(): string {
    return this.#take(ID_BYTES).toString("base64url");
  }

  #take(size: number): Buffer {
    const from = this.#at;
    const to = from + size;
    if (to > this.#bytes.length)
      throw malformed(`it ends ${to - this.#bytes.length} bytes early`);
    this.#at = to;
    return this.#bytes.subarray(from, to);
  }
}

function malformed(what: string): ShoalError {
  return new ShoalError("COMMAND_MALFORMED", `gossip: ${what}`);
}
