/** Writes the frames of one session at one stage, without garbage. */
import {
  type FrameType,
  HEADER_BYTES,
  MAX_TOKEN_BYTES,
} from "../ring/index.ts";

/** Of the body of a small frame: a token with what goes with it, or times. */
const SMALL_BODY_BYTES = MAX_TOKEN_BYTES;

export interface FrameFields {
  type: FrameType;
  flags: number;
  /** The receiver's index, or towards the gateway this stage's. */
  stage: number;
  position: number;
  count: number;
  /** What the decode took. */
  elapsedMs: number;
}

export class FrameWriter {
  readonly #session: Buffer;
  readonly #small = Buffer.alloc(HEADER_BYTES + SMALL_BODY_BYTES);

  /** `session`: 32 hex digits. */
  constructor(session: string) {
    this.#session = Buffer.from(session, "hex");
  }

  /** Whether the frame names this session at the stage `index`. */
  isNamedBy(frame: Buffer, index: number): boolean {
    return (
      frame.readUInt16LE(2) === index &&
      frame.compare(this.#session, 0, 16, 16, 32) === 0
    );
  }

  head(frame: Buffer, fields: FrameFields): void {
    const { type, flags, stage, position, count, elapsedMs } = fields;
    frame[0] = type;
    frame[1] = flags;
    frame.writeUInt16LE(stage, 2);
    frame.writeUInt32LE(position, 4);
    frame.writeUInt32LE(count, 8);
    const us = Math.min(0xffffffff, Math.round(elapsedMs * 1000));
    frame.writeUInt32LE(us, 12);
    frame.set(this.#session, 16);
  }

  /** A frame of its own memory. */
  large(fields: FrameFields, body: Uint8Array): Buffer {
    const frame = Buffer.alloc(HEADER_BYTES + body.length);
    this.head(frame, fields);
    frame.set(body, HEADER_BYTES);
    return frame;
  }

  /** A frame with a small body; the next one overwrites it. */
  small(fields: FrameFields, body?: Int32Array | Uint8Array): Buffer {
    const length = HEADER_BYTES + (body?.byteLength ?? 0);
    const frame = this.#small.subarray(0, length);
    this.head(frame, fields);
    if (body !== undefined) frame.set(viewOf(body), HEADER_BYTES);
    return frame;
  }
}

/** The same bytes. */
export function viewOf(
  array: Int32Array | Float32Array | Uint8Array,
): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
