/**
 * The frames of the pipeline, docs/PROTOCOL.md section "Pipeline". A fixed binary header, then a body by type:
 *
 *     0  u8   type
 *     1  u8   flags
 *     2  u16  stage: the index in the route of the receiver (OPEN … CLOSE) or the sender (OPENED, TOKEN, ERROR)
 *     4  u32  position of the first token
 *     8  u32  count of tokens
 *    12  u32  elapsed: µs the sending stage computed for this frame, else 0
 *    16  16 B session id, random
 *    32  …    body
 *
 * Numbers are little-endian.
 */
import { ShoalError } from "../lib/index.ts";
import { TIMES_BYTES } from "./stage-times.ts";

export const PIPELINE_PROTOCOL = "/shoal/pipeline/1.0.0";
export const HEADER_BYTES = 32;
/** One chunk of activations and its header: 128 tokens × 32,768 × 4 bytes = 16 MiB, and room. DeepSeek V4 passes on 28,672 values a token. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024 + 64 * 1024;
/** OPEN's body: a route of MAX_STAGES with their addresses. */
const MAX_OPEN_BYTES = 256 * 1024;
/** ERROR's body. */
const MAX_ERROR_BYTES = 16 * 1024;

export const FrameType = {
  /** gateway → stage: JSON OpenBody. Answered by OPENED or ERROR. */
  Open: 1,
  /** stage → gateway: the KV sequence is reserved and the next stage is connected. */
  Opened: 2,
  /** gateway → stage 0: i32 tokens[count], a chunk of the prompt. */
  Prompt: 3,
  /** stage → next stage: i32 tokens[count], f32 activations[count × n_embd]. */
  Activations: 4,
  /** last stage → gateway: a chunk other than the prompt's last one has passed. */
  Prefilled: 5,
  /** last stage → stage 0 and gateway: i32 token, sampled for `position`. */
  Token: 6,
  /** gateway → stage: the session is over; free it. */
  Close: 7,
  /** stage → gateway: JSON error. The session is over at this stage. */
  Error: 8,
  /** stage → gateway: where this stage's time goes (stage-times.ts). Only for people; nothing depends on it. */
  Times: 9,
  /** stage → the stage before: a frame with the flag Echo has arrived. */
  Echo: 10,
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
}

export type FrameHead = Omit<PipelineFrame, "body">;

export function encodeHead(head: FrameHead): Uint8Array {
  const out = Buffer.alloc(HEADER_BYTES);
  out[0] = head.type;
  out[1] = head.flags;
  out.writeUInt16LE(head.stage, 2);
  out.writeUInt32LE(head.position, 4);
  out.writeUInt32LE(head.count, 8);
  out.writeUInt32LE(Math.min(0xffffffff, Math.round(head.elapsedUs)), 12);
  out.write(head.session, 16, 16, "hex");
  return out;
}

/** Throws FRAME_MALFORMED if lengths and type do not fit together. */
export function decodeFrame(bytes: Uint8Array): PipelineFrame {
  if (bytes.length < HEADER_BYTES)
    throw malformed(
      `a frame of ${bytes.length} bytes is shorter than its header`,
    );
  const b = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frame: PipelineFrame = {
    type: b[0] ?? 0,
    flags: b[1] ?? 0,
    stage: b.readUInt16LE(2),
    position: b.readUInt32LE(4),
    count: b.readUInt32LE(8),
    elapsedUs: b.readUInt32LE(12),
    session: b.toString("hex", 16, 32),
    body: b.subarray(HEADER_BYTES),
  };
  const { length } = frame.body;
  switch (frame.type as FrameType) {
    case FrameType.Open:
      if (length > MAX_OPEN_BYTES)
        throw malformed(`OPEN has ${length} bytes, at most ${MAX_OPEN_BYTES}`);
      break;
    case FrameType.Error:
      if (length > MAX_ERROR_BYTES)
        throw malformed(
          `ERROR has ${length} bytes, at most ${MAX_ERROR_BYTES}`,
        );
      break;
    case FrameType.Prompt:
      if (frame.count < 1 || length !== frame.count * 4)
        throw malformed(`PROMPT of ${frame.count} tokens has ${length} bytes`);
      break;
    case FrameType.Activations:
      if (
        frame.count < 1 ||
        length < frame.count * 8 ||
        length % (frame.count * 4) !== 0
      ) {
        throw malformed(
          `ACTIVATIONS of ${frame.count} tokens has ${length} bytes`,
        );
      }
      break;
    case FrameType.Token:
      if (length !== 4)
        throw malformed(`TOKEN has ${length} bytes, expected 4`);
      break;
    case FrameType.Times:
      if (length !== TIMES_BYTES)
        throw malformed(`TIMES has ${length} bytes, expected ${TIMES_BYTES}`);
      break;
    case FrameType.Opened:
    case FrameType.Prefilled:
    case FrameType.Echo:
    case FrameType.Close:
      if (length !== 0)
        throw malformed(
          `frame type ${frame.type} has a body of ${length} bytes, expected none`,
        );
      break;
    default:
      throw malformed(`unknown frame type ${frame.type}`);
  }
  return frame;
}

function malformed(message: string): ShoalError {
  return new ShoalError("FRAME_MALFORMED", message);
}
