/**
 * The binary channel between a node and its engine: frames with a fixed header on a socket pair.
 *
 *     0  u32  length of the body in bytes
 *     4  u32  op (requests) or kind (replies)
 *     8  u32  request id, echoed in the replies
 *    12  …    body; numbers little-endian, f32 and i32 arrays 4-byte aligned
 *
 * The child reads and writes synchronously (an engine does one thing at a time and wakes fastest this way); the parent is asynchronous.
 */
import { readSync, writeSync } from "node:fs";
import { ShoalError } from "../lib/index.ts";

export const HEADER_BYTES = 12;
/** Above any chunk of activations (256 tokens × 16384 × 4 = 16 MiB) and any vocabulary's piece table. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** The channel's file descriptor in the child. */
const CHANNEL_FD = 3;

export const Op = {
  /** JSON LoadStageRequest → Progress*, then Json StageInfo. */
  LoadStage: 1,
  /** JSON {path} → VocabularyInfo (JSON, piece table): see tokenizer.ts. */
  LoadVocabulary: 2,
  /** u32 sequence, JSON SamplingOptions or nothing → Json {}. Opens a session; frees it first if it was open. */
  OpenSequence: 3,
  /** u32 sequence → Json {}. */
  FreeSequence: 4,
  /** u32 sequence, position, tokens n, want; i32 tokens[n]; f32 activations[n × n_embd] unless the stage is the first. */
  Decode: 5,
  /** u32 flags (1 add special, 2 parse special), UTF-8 text → i32 tokens[]. */
  Tokenize: 6,
  /** → Json EngineMemory. */
  Memory: 7,
  /** JSON {path} → Json {}. Loads all but the weights. */
  CheckModel: 8,
  /** JSON {backend} → Json {version, devices}. */
  Devices: 9,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

/** What a decode should return; stages before the last always return their activations. */
export const Want = {
  /** The last stage returns nothing (a prefill chunk that is not the last). */
  Nothing: 0,
  /** The last stage samples: i32 token, u32 1 if it ends the generation. */
  Token: 1,
  /** The last stage returns f32 logits[n_vocab]. */
  Logits: 2,
} as const;
export type Want = (typeof Want)[keyof typeof Want];

export const Kind = { Json: 1, Bytes: 2, Progress: 3, Error: 4 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export interface Frame {
  op: number;
  id: number;
  body: Uint8Array;
}

export function encodeHeader(
  op: number,
  id: number,
  bodyBytes: number,
): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, bodyBytes, true);
  view.setUint32(4, op, true);
  view.setUint32(8, id, true);
  return header;
}

export function bytesOf(
  array: Int32Array | Float32Array | Uint32Array,
): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Bytes as f32, without a copy if they are aligned. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = aligned(bytes);
  return new Float32Array(buffer, byteOffset, byteLength >>> 2);
}

/** Bytes as i32, without a copy if they are aligned. */
export function intsOf(bytes: Uint8Array): Int32Array {
  const { buffer, byteOffset, byteLength } = aligned(bytes);
  return new Int32Array(buffer, byteOffset, byteLength >>> 2);
}

function aligned(bytes: Uint8Array): Uint8Array {
  // Not bytes.slice(): that of a Buffer is a view of the same, unaligned memory.
  return bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
}

/** The child's blocking end. */
export class SyncChannel {
  #fd: number;
  #header = new Uint8Array(HEADER_BYTES);
  #view = new DataView(this.#header.buffer);
  #body = new Uint8Array(1 << 16);

  constructor(fd: number = CHANNEL_FD) {
    this.#fd = fd;
  }

  /** The next frame, or undefined when the parent is gone. The body is overwritten by the next read. */
  read(): Frame | undefined {
    if (!this.#fill(this.#header, HEADER_BYTES)) return undefined;
    const length = this.#view.getUint32(0, true);
    if (length > MAX_BODY_BYTES)
      throw new ShoalError(
        "FRAME_TOO_LARGE",
        `engine frame of ${length} bytes`,
        { length },
      );
    if (length > this.#body.length)
      this.#body = new Uint8Array(2 ** Math.ceil(Math.log2(length)));
    if (!this.#fill(this.#body, length)) return undefined;
    return {
      op: this.#view.getUint32(4, true),
      id: this.#view.getUint32(8, true),
      body: this.#body.subarray(0, length),
    };
  }

  write(kind: Kind, id: number, body: Uint8Array): void {
    this.#drain(encodeHeader(kind, id, body.length));
    this.#drain(body);
  }

  #fill(into: Uint8Array, length: number): boolean {
    for (let at = 0; at < length;) {
      const got = readSync(this.#fd, into, at, length - at, null);
      if (got === 0) return false;
      at += got;
    }
    return true;
  }

  #drain(from: Uint8Array): void {
    for (let at = 0; at < from.length;)
      at += writeSync(this.#fd, from, at, from.length - at);
  }
}

/** The parent's end: turns a socket's chunks into frames. A body inside one chunk is a view of it. */
export class FrameParser {
  #chunks: Uint8Array[] = [];
  #buffered = 0;

  push(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    while (this.#buffered >= HEADER_BYTES) {
      const head = this.#peek(HEADER_BYTES);
      const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
      const length = view.getUint32(0, true);
      if (length > MAX_BODY_BYTES)
        throw new ShoalError(
          "FRAME_TOO_LARGE",
          `engine frame of ${length} bytes`,
          { length },
        );
      if (this.#buffered < HEADER_BYTES + length) return;
      const [op, id] = [view.getUint32(4, true), view.getUint32(8, true)];
      this.#take(HEADER_BYTES);
      onFrame({ op, id, body: this.#take(length) });
    }
  }

  #peek(length: number): Uint8Array {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= length) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? new Uint8Array();
  }

  #take(length: number): Uint8Array {
    if (length === 0) return new Uint8Array();
    const whole = this.#peek(length);
    this.#buffered -= length;
    if (whole.length === length) this.#chunks.shift();
    else this.#chunks[0] = whole.subarray(length);
    return whole.subarray(0, length);
  }
}
