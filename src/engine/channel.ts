/**
 * The binary channel between a node and its engine: frames with a fixed header on a socket pair.
 *
 *     0  u32  length of the body in bytes
 *     4  u32  op (requests) or kind (replies)
 *     8  u32  request id, echoed in the replies; of a session's frame the session's handle
 *    12  …    body; numbers little-endian, f32 and i32 arrays 4-byte aligned
 *
 * The child reads and writes synchronously (an engine does one thing at a time and wakes fastest this way); the parent is asynchronous.
 */
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import { ShoalError } from "../lib/index.ts";
import { receive } from "../ring/index.ts";

export const HEADER_BYTES = 12;
/** Above any chunk of activations (256 tokens × 16384 × 4 = 16 MiB) and any vocabulary's piece table. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** The channel's file descriptor in the child. */
const CHANNEL_FD = 3;

export const Op = {
  /** JSON LoadStageRequest → Progress*, then Json StageInfo. A process may hold several stages, by number. */
  LoadStage: 1,
  /** JSON {path} → VocabularyInfo (JSON, piece table): see tokenizer.ts. */
  LoadVocabulary: 2,
  /** u32 stage, sequence, JSON SamplingOptions or nothing → Json {}. Makes a sequence ready for decodes one by one; frees it first if it was open. */
  OpenSequence: 3,
  /** u32 stage, sequence → Json {}. */
  FreeSequence: 4,
  /** u32 stage, sequence, position, tokens n, want; i32 tokens[n]; f32 activations[n × n_embd] unless the stage is the first. */
  Decode: 5,
  /** u32 flags (1 add special, 2 parse special), UTF-8 text → i32 tokens[]. */
  Tokenize: 6,
  /** → Json EngineMemory. */
  Memory: 7,
  /** JSON {path} → Json {}. Loads all but the weights. */
  CheckModel: 8,
  /** JSON {backend} → Json {version, devices}. */
  Devices: 9,
  /** JSON SessionRequest → Json {}: the session's frames are taken from now on. */
  OpenSession: 10,
  /** JSON {handle} → Json {}. Frees its sequence. */
  CloseSession: 11,
  /** A session's frame from the gateway, or from a neighbour that cannot reach this engine; the id is the session's handle. Not answered. */
  Frame: 12,
  /** JSON ExpectRequest → Json {port}: the data connection may come now. */
  ExpectConnection: 13,
  /** JSON DialRequest → Json {}; a link event tells how it went. */
  DialConnection: 14,
  /** JSON {stage} → Json {}. */
  UnloadStage: 15,
  /** JSON {handle} → Json WrittenSession: what the session has so far is in a file; it goes on. */
  WriteSession: 16,
  /** JSON AdoptRequest → Json {}: a file that another node handed over. */
  AdoptSession: 17,
  /** JSON {link} → Json {}: its data connections end; frames go through the nodes. */
  CutLink: 18,
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

export const Kind = {
  Json: 1,
  Bytes: 2,
  Progress: 3,
  Error: 4,
  /** u16 Target, u16 stage, a session's frame; the id is the session's handle. */
  Frame: 5,
  /** JSON EngineEvent. */
  Event: 6,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** Whom a frame that leaves the engine through its node is for. */
export const Target = { Gateway: 0, Next: 1, Previous: 2 } as const;
export type Target = (typeof Target)[keyof typeof Target];

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

/** What an engine tells its node by itself. */
export type EngineEvent =
  | { type: "link"; link: number; direct: boolean; error?: object }
  /** The session is over at this stage. */
  | { type: "failed"; handle: number; error: object }
  | {
      type: "stats";
      /** Its number in the process. */
      stage: number;
      /** Computed so far, prompts' and generated ones. */
      tokens: number;
      /** Of them, those that shared a decode with other sessions'. */
      sharedTokens: number;
      /** Moving average of decodes of one token; undefined before the first. */
      msPerToken: number | undefined;
    };

/** The child's end. Nothing here waits: the engine waits for several things at once (loop.ts). */
export class EngineChannel {
  readonly fd: number;
  #buffer = Buffer.alloc(1 << 16);
  #start = 0;
  #end = 0;
  #ended = false;
  /** Of a small frame; it leaves in one piece. */
  #out = Buffer.alloc(1 << 16);

  constructor(fd: number = CHANNEL_FD) {
    this.fd = fd;
  }

  /** The parent is gone. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Reads what is there. */
  fill(): void {
    this.#makeRoom(HEADER_BYTES);
    const room = this.#buffer.length - this.#end;
    const got = receive(this.fd, this.#buffer, this.#end, room);
    if (got > 0) this.#end += got;
    else if (got === 0) this.#ended = true;
  }

  /** Reads by node's event loop from now on, where there is no other way. `onArrival` is called after something came, or the parent went. */
  readByEvents(onArrival: () => void): void {
    const socket = new Socket({ fd: this.fd, readable: true, writable: false });
    socket.on("data", (chunk) => {
      this.#makeRoom(chunk.length);
      this.#buffer.set(chunk, this.#end);
      this.#end += chunk.length;
      onArrival();
    });
    const onEnd = (): void => {
      this.#ended = true;
      onArrival();
    };
    socket.on("end", onEnd).on("error", onEnd);
  }

  /** The next frame that is here as a whole. Its body is overwritten by the next `fill`. */
  next(): Frame | undefined {
    const length = this.#wanted();
    if (this.#end - this.#start < length) return undefined;
    const at = this.#start;
    this.#start += length;
    return {
      op: this.#buffer.readUInt32LE(at + 4),
      id: this.#buffer.readUInt32LE(at + 8),
      body: this.#buffer.subarray(at + HEADER_BYTES, at + length),
    };
  }

  write(kind: Kind, id: number, ...body: readonly Uint8Array[]): void {
    const out = this.#out;
    let length = 0;
    for (const part of body) length += part.length;
    out.writeUInt32LE(length, 0);
    out.writeUInt32LE(kind, 4);
    out.writeUInt32LE(id, 8);
    let at = HEADER_BYTES;
    for (const part of body) {
      if (at + part.length > out.length) {
        this.#drain(out, at);
        at = 0;
      }
      if (part.length > out.length) this.#drain(part, part.length);
      else {
        out.set(part, at);
        at += part.length;
      }
    }
    this.#drain(out, at);
  }

  #drain(from: Uint8Array, length: number): void {
    for (let at = 0; at < length;)
      at += writeSync(this.fd, from, at, length - at);
  }

  /** Bytes of the frame that begins at the start. */
  #wanted(): number {
    if (this.#end - this.#start < HEADER_BYTES) return HEADER_BYTES;
    const length = this.#buffer.readUInt32LE(this.#start);
    if (length > MAX_BODY_BYTES)
      throw new ShoalError(
        "FRAME_TOO_LARGE",
        `engine frame of ${length} bytes`,
        { length },
      );
    return HEADER_BYTES + length;
  }

  /** For the whole frame that begins here, and for `more` bytes. What is left moves to the front if they do not fit behind it. */
  #makeRoom(more: number): void {
    const left = this.#end - this.#start;
    const wanted = Math.max(this.#wanted(), left + more);
    if (left > 0 && this.#start + wanted <= this.#buffer.length) return;
    const to =
      wanted <= this.#buffer.length
        ? this.#buffer
        : Buffer.alloc(2 ** Math.ceil(Math.log2(wanted)));
    this.#buffer.copy(to, 0, this.#start, this.#end);
    this.#buffer = to;
    this.#start = 0;
    this.#end = left;
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
