/**
 * The frames of the pipeline, docs/PROTOCOL.md section "Pipeline". A fixed binary header, then a body by type:
 *
 *     0  u8   type
 *     1  u8   flags
 *     2  u16  stage: the index in the route of the receiver (OPEN … CLOSE) or the sender (OPENED, TOKEN, EMBEDDING, ERROR)
 *     4  u32  position of the first token
 *     8  u32  count of tokens; of EMBEDDING: of values
 *    12  u32  elapsed: µs the sending stage computed for this frame, else 0
 *    16  16 B session id, random
 *    32  …    body
 *
 * Numbers are little-endian.
 */
import { ShoalError } from "../lib/index.ts";
import { MAX_EMBEDDING } from "./embedding-body.ts";
import { TIMES_BYTES } from "./stage-times.ts";
import { MAX_TOKEN_BYTES } from "./token-body.ts";

export const PIPELINE_PROTOCOL = "/shoal/pipeline/1.1.0";
export const HEADER_BYTES = 32;
/** One chunk of activations and its header: 192 tokens × 32,768 × 4 bytes = 24 MiB, and room. DeepSeek V4 passes on 28,672 values a token. */
export const MAX_FRAME_BYTES = 24 * 1024 * 1024 + 64 * 1024;
/** OPEN's JSON: a route of MAX_STAGES with their addresses, and a grammar, each of whose characters may need an escape. */
const MAX_OPEN_BYTES = 1024 * 1024;
/** Of the bodies of OPENED and ERROR. */
const MAX_JSON_BYTES = 16 * 1024;

export const FrameType = {
  /** gateway → stage: i32 tokens[count], the prompt and what was generated after it, then JSON OpenBody. Answered by OPENED or ERROR. */
  Open: 1,
  /** stage → gateway: the KV sequence is reserved and the next stage is connected. JSON OpenedBody. */
  Opened: 2,
  /** gateway → stage 0: i32 tokens[count], a chunk of the prompt. */
  Prompt: 3,
  /** stage → next stage: i32 tokens[count], f32 activations[count × n_embd]. */
  Activations: 4,
  /** stage → gateway: a chunk that is not sampled has come as far as it is needed: to the last stage, or to one before those that have it. */
  Prefilled: 5,
  /** last stage → stage 0 and gateway: i32 token, sampled for `position`; to the gateway also what it asked for (token-body.ts). */
  Token: 6,
  /** gateway → stage: the session is over; free it. */
  Close: 7,
  /** stage → gateway: JSON error. The session is over at this stage. */
  Error: 8,
  /** stage → gateway: where this stage's time goes (stage-times.ts). Only for people; nothing depends on it. */
  Times: 9,
  /** stage → the stage before: a frame with the flag Echo has arrived. */
  Echo: 10,
  /** gateway → last stage: `count` tokens may be generated in all; past them the session waits. */
  Credit: 11,
  /**
   * gateway → stage, before any token: it has the first `position` tokens from an earlier session (OPENED said so) and goes on from there; the next
   * stage has the first `count`, which are not sent on. Answered by RESUMED.
   */
  Resume: 12,
  /** stage → gateway: the tokens may come. */
  Resumed: 13,
  /** gateway → stage: send the next stage `count` tokens from `position` on, computed for an earlier session, as one chunk. */
  Replay: 14,
  /** last stage → gateway: f32 embedding[count] of the prompt, which OPEN asked for instead of tokens (embedding-body.ts). */
  Embedding: 15,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const Flag = {
  /** PROMPT, ACTIVATIONS: the last row ends the prompt (or is a decode): sample after it. */
  Sample: 1,
  /** TOKEN: the model ended the generation. */
  Stop: 2,
  /** TOKEN: the generation ends with the requested number of tokens. */
  Length: 4,
  /** ACTIVATIONS, TOKEN to stage 0: answered by ECHO at once, to measure the round trip. */
  Echo: 8,
} as const;

export interface PipelineFrame {
  type: number;
  flags: number;
  stage: number;
  position: number;
  count: number;
  elapsedUs: number;
  /** 32 hex digits. */
  session: string;
  body: Uint8Array;
  /** The whole frame. */
  bytes: Uint8Array;
}

export type FrameHead = Omit<PipelineFrame, "body" | "bytes">;

export function encodeFrame(
  head: FrameHead,
  ...body: readonly Uint8Array[]
): Buffer {
  const length = body.reduce((sum, part) => sum + part.length, HEADER_BYTES);
  const out = Buffer.allocUnsafe(length);
  out[0] = head.type;
  out[1] = head.flags;
  out.writeUInt16LE(head.stage, 2);
  out.writeUInt32LE(head.position, 4);
  out.writeUInt32LE(head.count, 8);
  out.writeUInt32LE(Math.min(0xffffffff, Math.round(head.elapsedUs)), 12);
  out.write(head.session, 16, 16, "hex");
  let at = HEADER_BYTES;
  for (const part of body) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Throws FRAME_MALFORMED if lengths and type do not fit together. */
export function decodeFrame(bytes: Uint8Array): PipelineFrame {
  const b = bufferOf(bytes);
  checkFrame(b);
  return {
    type: b[0] ?? 0,
    flags: b[1] ?? 0,
    stage: b.readUInt16LE(2),
    position: b.readUInt32LE(4),
    count: b.readUInt32LE(8),
    elapsedUs: b.readUInt32LE(12),
    session: b.toString("hex", 16, 32),
    body: b.subarray(HEADER_BYTES),
    bytes,
  };
}

/** The same bytes, with Buffer's methods. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Frames that one stage sends to another, and never the gateway. */
export function isBetweenStages(type: FrameType): boolean {
  return (
    type === FrameType.Activations ||
    type === FrameType.Token ||
    type === FrameType.Echo
  );
}

/** Throws FRAME_MALFORMED if lengths and type do not fit together. Makes no garbage. */
export function checkFrame(frame: Buffer): void {
  if (frame.length < HEADER_BYTES)
    throw malformed(
      `a frame of ${frame.length} bytes is shorter than its header`,
    );
  const type = frame[0] as FrameType;
  const count = frame.readUInt32LE(8);
  const length = frame.length - HEADER_BYTES;
  const fits = bodyFits(type, count, length);
  if (fits === undefined) throw malformed(`unknown frame type ${type}`);
  if (!fits)
    throw malformed(
      `a frame of type ${type} with ${count} tokens has a body of ${length} bytes`,
    );
}

/** Undefined: there is no such type. */
function bodyFits(
  type: FrameType,
  count: number,
  length: number,
): boolean | undefined {
  switch (type) {
    case FrameType.Open:
      return length >= count * 4 && length - count * 4 <= MAX_OPEN_BYTES;
    case FrameType.Opened:
    case FrameType.Error:
      return length <= MAX_JSON_BYTES;
    case FrameType.Prompt:
      return count >= 1 && length === count * 4;
    case FrameType.Activations:
      return count >= 1 && length >= count * 8 && length % (count * 4) === 0;
    case FrameType.Token:
      return count === 1 && length >= 4 && length <= MAX_TOKEN_BYTES;
    case FrameType.Embedding:
      return count >= 1 && count <= MAX_EMBEDDING && length === count * 4;
    case FrameType.Times:
      return length === TIMES_BYTES;
    case FrameType.Prefilled:
    case FrameType.Echo:
    case FrameType.Credit:
    case FrameType.Close:
    case FrameType.Resume:
    case FrameType.Resumed:
      return length === 0;
    case FrameType.Replay:
      return count >= 1 && length === 0;
    default:
      return undefined;
  }
}

function malformed(message: string): ShoalError {
  return new ShoalError("FRAME_MALFORMED", message);
}
