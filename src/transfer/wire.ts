/**
 * `/shoal/torrent/1.0.0`: contents and their pieces, over a frame stream. The peer that opens the stream (the asker) requests, the other
 * (the holder) answers; two peers that want from each other use two streams. A stream carries any number of contents, each on a channel: a
 * number that the asker chooses, counting up from 0. Numbers are little-endian. A frame's first byte says what it is.
 *
 * From the asker, at most 37 bytes:
 *
 *      1 INTEREST     u32 channel, 32 bytes root. Answered by HAVE_MAP, or by REJECT of the whole content (and by HAVE_MAP
 *                     later, if the holder gets it).
 *      2 ASK_HASHES   u32 channel, u32 first. Answered by HASHES, or by REJECT of the whole content.
 *      3 REQUEST      u32 channel, u32 piece. Answered by exactly one of: the whole piece in PIECE frames, or REJECT.
 *      4 CANCEL       u32 channel, u32 piece. Of a REQUEST that has no whole answer yet: the rest of the piece, or REJECT.
 *      5 LEAVE        u32 channel. CANCEL of all its requests; no HAVE any more. The number is not used again.
 *
 * From the holder, at most 256 KiB:
 *
 *     16 HAVE_MAP     u32 channel, u64 content's size, u32 first, then a bit for each verified piece: `first` is bit 0 of byte 0; spare
 *                     bits are 0. 2^20 pieces, fewer in the last; a content of over 1 TiB has several, in order.
 *     17 HASHES       u32 channel, u64 content's size, u32 first, then 32 bytes a piece: the roots of `first` and the following.
 *                     4096 of them, fewer at the end. The asker checks all of them against the root.
 *     18 HAVE         u32 channel, u8 0, u32 piece …    verified since the HAVE_MAP; at most 1024 in a frame
 *                     u32 channel, u8 1, u32 piece …    already requested by others: request other pieces elsewhere first
 *     19 PIECE        u32 channel, u32 piece, u32 offset, data. A piece's frames come in order and without a gap, at least
 *                     16 KiB each but for the last; frames of two pieces do not mix.
 *     20 REJECT       u32 channel, u32 piece (0xffffffff: the whole content), u8 reason:
 *                     1 not here, 2 too many requests, 3 its file has changed, 4 cancelled, 5 cannot be read now
 *     21 SLOT         u8 1 served, 0 waiting; u32 peers before this one. A stream begins as served. Requests of one that waits are kept.
 *
 * A frame of another type or length, one that names a channel or piece that does not exist, or an answer to nothing requested ends the
 * stream (FRAME_MALFORMED) and counts against the peer.
 */
import { ShoalError } from "../lib/index.ts";
import {
  HASH_BYTES,
  MAX_CONTENT_BYTES,
  pieceCount,
  type Root,
} from "../store/index.ts";

export const TORRENT_PROTOCOL = "/shoal/torrent/1.0.0";

/** 128 KiB of bits, 128 KiB of hashes. */
export const BITS_PER_FRAME = 2 ** 20;
export const HASHES_PER_FRAME = 4096;
export const HAVES_PER_FRAME = 1024;
/** The least data of a PIECE frame, except a piece's last, so that a peer does not cost us a frame per byte. */
export const MIN_DATA_BYTES = 16 * 1024;
/** The most, including the head: what fits into one read of the frame reader. Tokens and pings pass between two. */
export const MAX_ANSWER_BYTES = 256 * 1024;
/** INTEREST. */
export const MAX_ASK_BYTES = 37;
const PIECE_HEAD_BYTES = 13;
const LIST_HEAD_BYTES = 17;
/** In REJECT: the whole content, not one piece. */
export const WHOLE = 0xffff_ffff;

export const AskType = {
  Interest: 1,
  AskHashes: 2,
  Request: 3,
  Cancel: 4,
  Leave: 5,
} as const;

export const AnswerType = {
  HaveMap: 16,
  Hashes: 17,
  Have: 18,
  Piece: 19,
  Reject: 20,
  Slot: 21,
} as const;

export const Reason = {
  NotHere: 1,
  TooMany: 2,
  Changed: 3,
  Cancelled: 4,
  Unreadable: 5,
} as const;
export type Reason = (typeof Reason)[keyof typeof Reason];

export type Ask =
  | { type: typeof AskType.Interest; channel: number; root: Root }
  | { type: typeof AskType.AskHashes; channel: number; first: number }
  | { type: typeof AskType.Request; channel: number; piece: number }
  | { type: typeof AskType.Cancel; channel: number; piece: number }
  | { type: typeof AskType.Leave; channel: number };

export type Answer =
  | {
      type: typeof AnswerType.HaveMap;
      channel: number;
      sizeBytes: number;
      first: number;
      bits: Uint8Array;
    }
  | {
      type: typeof AnswerType.Hashes;
      channel: number;
      sizeBytes: number;
      first: number;
      hashes: Uint8Array;
    }
  | {
      type: typeof AnswerType.Have;
      channel: number;
      /** False if only expected. */
      verified: boolean;
      pieces: number[];
    }
  | {
      type: typeof AnswerType.Piece;
      channel: number;
      piece: number;
      offset: number;
      data: Uint8Array;
    }
  | {
      type: typeof AnswerType.Reject;
      channel: number;
      piece: number;
      reason: Reason;
    }
  | { type: typeof AnswerType.Slot; served: boolean; ahead: number };

// asking

export function encodeInterest(channel: number, root: Root): Uint8Array {
  const frame = Buffer.alloc(5 + HASH_BYTES);
  frame[0] = AskType.Interest;
  frame.writeUInt32LE(channel, 1);
  frame.write(root, 5, "hex");
  return frame;
}

export function encodeAsk(
  type: 2 | 3 | 4 | 5,
  channel: number,
  number?: number,
): Uint8Array {
  const frame = Buffer.alloc(number === undefined ? 5 : 9);
  frame[0] = type;
  frame.writeUInt32LE(channel, 1);
  if (number !== undefined) frame.writeUInt32LE(number, 5);
  return frame;
}

/** Throws FRAME_MALFORMED. */
export function decodeAsk(frame: Uint8Array): Ask {
  const b = bufferOf(frame);
  const type = b[0];
  const expected =
    type === AskType.Interest ? 37 : type === AskType.Leave ? 5 : 9;
  if (b.length !== expected) {
    throw malformed(`frame ${type ?? "none"} of ${b.length} bytes`);
  }
  const channel = b.readUInt32LE(1);
  switch (type) {
    case AskType.Interest:
      return { type, channel, root: b.toString("hex", 5) };
    case AskType.AskHashes:
      return { type, channel, first: b.readUInt32LE(5) };
    case AskType.Request:
    case AskType.Cancel:
      return { type, channel, piece: b.readUInt32LE(5) };
    case AskType.Leave:
      return { type, channel };
    default:
      throw malformed(`frame ${type ?? "none"} from an asker`);
  }
}

// answering: heads, followed by their data

export function listHead(
  type: typeof AnswerType.HaveMap | typeof AnswerType.Hashes,
  channel: number,
  sizeBytes: number,
  first: number,
): Uint8Array {
  const head = Buffer.alloc(LIST_HEAD_BYTES);
  head[0] = type;
  head.writeUInt32LE(channel, 1);
  head.writeBigUInt64LE(BigInt(sizeBytes), 5);
  head.writeUInt32LE(first, 13);
  return head;
}

export function encodeHave(
  channel: number,
  verified: boolean,
  pieces: readonly number[],
): Uint8Array {
  const frame = Buffer.alloc(6 + 4 * pieces.length);
  frame[0] = AnswerType.Have;
  frame.writeUInt32LE(channel, 1);
  frame[5] = verified ? 0 : 1;
  pieces.forEach((piece, i) => frame.writeUInt32LE(piece, 6 + 4 * i));
  return frame;
}

export function pieceHead(
  channel: number,
  piece: number,
  offset: number,
): Uint8Array {
  const head = Buffer.allocUnsafe(PIECE_HEAD_BYTES);
  head[0] = AnswerType.Piece;
  head.writeUInt32LE(channel, 1);
  head.writeUInt32LE(piece, 5);
  head.writeUInt32LE(offset, 9);
  return head;
}

export function encodeReject(
  channel: number,
  piece: number,
  reason: Reason,
): Uint8Array {
  const frame = Buffer.alloc(10);
  frame[0] = AnswerType.Reject;
  frame.writeUInt32LE(channel, 1);
  frame.writeUInt32LE(piece, 5);
  frame[9] = reason;
  return frame;
}

export function encodeSlot(served: boolean, ahead: number): Uint8Array {
  const frame = Buffer.alloc(6);
  frame[0] = AnswerType.Slot;
  frame[1] = served ? 1 : 0;
  frame.writeUInt32LE(ahead, 2);
  return frame;
}

/** Data are views of the frame. Throws FRAME_MALFORMED. */
export function decodeAnswer(frame: Uint8Array): Answer {
  const b = bufferOf(frame);
  const type = b[0];
  switch (type) {
    case AnswerType.HaveMap: {
      const { left, rest, ...list } = readList(b);
      const count = Math.min(BITS_PER_FRAME, left);
      const spare = rest.length * 8 - count;
      if (
        rest.length !== Math.ceil(count / 8) ||
        list.first % BITS_PER_FRAME !== 0 ||
        (rest.at(-1) ?? 0) >> (8 - spare) !== 0
      ) {
        throw malformed(`${rest.length} bytes of bits for ${count} pieces`);
      }
      return { type, ...list, bits: rest };
    }
    case AnswerType.Hashes: {
      const { left, rest, ...list } = readList(b);
      if (rest.length !== Math.min(HASHES_PER_FRAME, left) * HASH_BYTES) {
        throw malformed(`${rest.length} bytes of hashes for ${left} pieces`);
      }
      return { type, ...list, hashes: rest };
    }
    case AnswerType.Have:
      return decodeHave(b);
    case AnswerType.Piece: {
      atLeast(b, PIECE_HEAD_BYTES + 1);
      return {
        type,
        channel: b.readUInt32LE(1),
        piece: b.readUInt32LE(5),
        offset: b.readUInt32LE(9),
        data: b.subarray(PIECE_HEAD_BYTES),
      };
    }
    case AnswerType.Reject: {
      const reason = b[9] ?? 0;
      if (b.length !== 10 || reason < 1 || reason > 5) {
        throw malformed(`a reject of ${b.length} bytes, reason ${reason}`);
      }
      return {
        type,
        channel: b.readUInt32LE(1),
        piece: b.readUInt32LE(5),
        reason: reason as Reason,
      };
    }
    case AnswerType.Slot: {
      if (b.length !== 6 || (b[1] ?? 2) > 1) throw malformed("no slot");
      return { type, served: b[1] === 1, ahead: b.readUInt32LE(2) };
    }
    default:
      throw malformed(`frame ${type ?? "none"} from a holder`);
  }
}

function decodeHave(b: Buffer): Answer {
  atLeast(b, 10);
  const count = (b.length - 6) / 4;
  const kind = b[5] ?? 2;
  if (!Number.isInteger(count) || count > HAVES_PER_FRAME || kind > 1) {
    throw malformed(`a have of ${b.length} bytes`);
  }
  return {
    type: AnswerType.Have,
    channel: b.readUInt32LE(1),
    verified: kind === 0,
    pieces: Array.from({ length: count }, (_, i) => b.readUInt32LE(6 + 4 * i)),
  };
}

/** `left`: pieces from the first on, at least one. */
function readList(b: Buffer): {
  channel: number;
  sizeBytes: number;
  first: number;
  left: number;
  rest: Uint8Array;
} {
  atLeast(b, LIST_HEAD_BYTES);
  const size = b.readBigUInt64LE(5);
  const first = b.readUInt32LE(13);
  const pieces = size > MAX_CONTENT_BYTES ? 0 : pieceCount(Number(size));
  if (first >= pieces) {
    throw malformed(`piece ${first} of a content of ${size} bytes`);
  }
  return {
    channel: b.readUInt32LE(1),
    sizeBytes: Number(size),
    first,
    left: pieces - first,
    rest: b.subarray(LIST_HEAD_BYTES),
  };
}

function atLeast(b: Buffer, bytes: number): void {
  if (b.length < bytes) {
    throw malformed(`frame ${b[0] ?? "none"} of ${b.length} bytes`);
  }
}

export function malformed(what: string): ShoalError {
  return new ShoalError("FRAME_MALFORMED", `torrent protocol: ${what}`);
}

function bufferOf(frame: Uint8Array): Buffer {
  return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
}
