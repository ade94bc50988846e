/**
 * Frames on the wire of a data connection: u32 length of the body (little-endian, authenticated), the body encrypted by AES-256-GCM, a tag of
 * 16 bytes. The nonce is the direction's salt and a u64 that counts its frames, so a frame that is changed, repeated, left out or moved does
 * not authenticate.
 */
import { ShoalError } from "../lib/index.ts";
import type { RingKeys } from "./keys.ts";
import { allocate, type Memory } from "./libc.ts";
import {
  EVP_CTRL_AEAD_GET_TAG,
  EVP_CTRL_AEAD_SET_TAG,
  openssl,
} from "./openssl.ts";

export const LENGTH_BYTES = 4;
export const TAG_BYTES = 16;
/** What a frame takes on the wire besides its body. */
export const FRAME_OVERHEAD = LENGTH_BYTES + TAG_BYTES;

/** Turns frames into bytes on the wire and back. A frame opens only if all before it were opened. */
export interface FrameCodec {
  /** Writes a frame of these parts, `length` bytes together, to `out` at `at`: length + FRAME_OVERHEAD bytes. */
  seal(
    parts: readonly Uint8Array[],
    length: number,
    out: Memory,
    at: number,
  ): void;
  /** Decrypts the frame at `at`, whose body has `length` bytes, into `into`. False if it is not authentic; then `into` must not be used. */
  open(from: Memory, at: number, length: number, into: Memory): boolean;
  /** Gives back what lies outside of JavaScript's heap. The codec cannot be used afterwards. */
  free(): void;
}

/** One direction: an EVP context with its key, and the next frame's nonce. */
class Direction {
  readonly context = openssl().newContext();
  /** 12 bytes of nonce, then i32 for the lengths that OpenSSL reports. */
  readonly #scratch: Memory = allocate(16);
  readonly iv: number = this.#scratch.address;
  readonly outLength: number = this.#scratch.address + 12;
  /** Of frames. 2^53 of them take centuries. */
  #counter = 0;

  constructor(salt: Uint8Array) {
    if (this.context === 0)
      throw new ShoalError("INTERNAL", "OpenSSL gave no cipher context");
    this.#scratch.bytes.set(salt.subarray(0, 4));
  }

  nextNonce(): void {
    const { view } = this.#scratch;
    view.setUint32(4, this.#counter >>> 0, true);
    view.setUint32(8, Math.floor(this.#counter / 0x1_0000_0000), true);
    this.#counter++;
  }
}

export class GcmCodec implements FrameCodec {
  readonly #out: Direction;
  readonly #in: Direction;
  readonly #ssl = openssl();
  #isFree = false;

  constructor(keys: RingKeys) {
    this.#out = new Direction(keys.sendSalt);
    this.#in = new Direction(keys.receiveSalt);
    const ssl = this.#ssl;
    const cipher = ssl.aes256Gcm();
    const key = allocate(32);
    key.bytes.set(keys.sendKey);
    expectOne(
      ssl.encryptInit(this.#out.context, cipher, 0, key.address, this.#out.iv),
    );
    key.bytes.set(keys.receiveKey);
    expectOne(
      ssl.decryptInit(this.#in.context, cipher, 0, key.address, this.#in.iv),
    );
    key.bytes.fill(0);
  }

  seal(
    parts: readonly Uint8Array[],
    length: number,
    out: Memory,
    at: number,
  ): void {
    const ssl = this.#ssl;
    const { context, iv, outLength } = this.#alive(this.#out);
    out.view.setUint32(at, length, true);
    this.#out.nextNonce();
    const start = out.address + at;
    expectOne(ssl.encryptInit(context, 0, 0, 0, iv));
    expectOne(ssl.encryptUpdate(context, 0, outLength, start, LENGTH_BYTES));
    let to = start + LENGTH_BYTES;
    for (const part of parts) {
      if (part.byteLength === 0) continue;
      expectOne(
        ssl.encryptArray(context, to, outLength, part, part.byteLength),
      );
      to += part.byteLength;
    }
    if (to !== start + LENGTH_BYTES + length)
      throw new ShoalError("INTERNAL", "a frame's parts have another length");
    expectOne(ssl.encryptFinal(context, to, outLength));
    expectOne(ssl.control(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, to));
  }

  open(from: Memory, at: number, length: number, into: Memory): boolean {
    const ssl = this.#ssl;
    const { context, iv, outLength } = this.#alive(this.#in);
    this.#in.nextNonce();
    const start = from.address + at;
    const body = start + LENGTH_BYTES;
    const tag = body + length;
    return (
      ssl.decryptInit(context, 0, 0, 0, iv) === 1 &&
      ssl.decryptUpdate(context, 0, outLength, start, LENGTH_BYTES) === 1 &&
      (length === 0 ||
        ssl.decryptUpdate(context, into.address, outLength, body, length) ===
          1) &&
      ssl.control(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) === 1 &&
      ssl.decryptFinal(context, into.address + length, outLength) === 1
    );
  }

  free(): void {
    if (this.#isFree) return;
    this.#isFree = true;
    this.#ssl.freeContext(this.#out.context);
    this.#ssl.freeContext(this.#in.context);
  }

  #alive(direction: Direction): Direction {
    if (this.#isFree)
      throw new ShoalError("INTERNAL", "a closed connection's cipher is used");
    return direction;
  }
}

function expectOne(result: number): void {
  if (result !== 1)
    throw new ShoalError("INTERNAL", `OpenSSL did not encrypt (${result})`);
}
