/** Sources that lie, stall and flood, each in one way. Their hosts are in malicious-hosts.ts. */
import type { ErrorCode } from "../../src/lib/index.ts";
import type { FrameStream } from "../../src/network/index.ts";
import {
  PieceSet,
  pieceCount,
  type ContentMetadata,
} from "../../src/store/index.ts";
import { MIB, randomBytes } from "./transfer.ts";
import {
  AnswerType,
  type Ask,
  AskType,
  encodeHave,
  encodeReject,
  encodeSlot,
  HASHES_PER_FRAME,
  HAVES_PER_FRAME,
  listHead,
  pieceHead,
  Reason,
  WHOLE,
} from "../../src/transfer/wire.ts";

const FRAME = 128 * 1024;

export type Answerer = (ask: Ask, stream: FrameStream) => void | Promise<void>;

/** What they lie about. */
export interface Subject {
  metadata: ContentMetadata;
  bytes: Uint8Array;
}

export interface Lie {
  name: string;
  answer: Answerer;
  /** The code of the ban; undefined: not banned, only left alone. */
  banned?: ErrorCode;
  /** Told only to one that knows the size from a manifest. */
  sized?: boolean;
}

/** What an honest peer says; a liar changes some of it. */
interface Claim {
  metadata?: ContentMetadata;
  mapSizeBytes?: number;
  pieceOf?: (piece: number) => Uint8Array;
}

/** Flips one bit of the piece. */
function flipped(piece: Uint8Array): Uint8Array {
  // Not slice(): of a Buffer it is a view.
  const bytes = new Uint8Array(piece);
  const at = Math.min(500_000, bytes.length - 1);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}

async function never(): Promise<void> {}

/** Waits when the stream says so: as fast as the node reads. */
async function endless(
  stream: FrameStream,
  ...parts: Uint8Array[]
): Promise<void> {
  for (;;) await stream.send(...parts);
}

/** `pieces`: what they say where they tell the truth; "right" isolates each lie, "wrong" leaves an honest source nothing to share. */
export function liesAbout(
  { metadata, bytes }: Subject,
  pieces: "right" | "wrong" = "right",
): readonly Lie[] {
  const { sizeBytes } = metadata;
  const right = (piece: number): Uint8Array =>
    bytes.subarray(piece * MIB, (piece + 1) * MIB);
  const wrong = (piece: number): Uint8Array => flipped(right(piece));
  const usual = pieces === "right" ? right : wrong;

  const answer = (claim: Claim = {}): Answerer => {
    const { metadata: told = metadata, pieceOf = usual } = claim;
    const { mapSizeBytes = told.sizeBytes } = claim;
    const mapBits = PieceSet.full(pieceCount(mapSizeBytes)).bits;
    return async (ask, stream) => {
      if (ask.type === AskType.Interest) {
        const head = listHead(AnswerType.HaveMap, ask.channel, mapSizeBytes, 0);
        await stream.send(head, mapBits);
      } else if (ask.type === AskType.AskHashes) {
        const { channel } = ask;
        const head = listHead(AnswerType.Hashes, channel, told.sizeBytes, 0);
        await stream.send(head, told.pieceHashes);
      } else if (ask.type === AskType.Request) {
        const { channel, piece } = ask;
        const whole = pieceOf(piece);
        for (let at = 0; at < whole.length; at += FRAME) {
          const data = whole.subarray(at, at + FRAME);
          await stream.send(pieceHead(channel, piece, at), data);
        }
      }
    };
  };
  /** An honest peer but for what is asked with `type`. */
  const butFor = (type: Ask["type"], lie: Answerer): Answerer => {
    const honest = answer();
    return (ask, stream) => (ask.type === type ? lie : honest)(ask, stream);
  };
  const onRequest = (
    lie: (
      ask: Extract<Ask, { type: typeof AskType.Request }>,
      stream: FrameStream,
    ) => void | Promise<void>,
  ): Answerer =>
    butFor(AskType.Request, (ask, stream) =>
      ask.type === AskType.Request ? lie(ask, stream) : undefined,
    );
  const resized = (by: number): ContentMetadata => ({
    ...metadata,
    sizeBytes: sizeBytes + by,
  });

  return [
    {
      name: "wrong bytes",
      answer: answer({ pieceOf: wrong }),
      banned: "PIECE_INVALID",
      sized: true,
    },
    {
      name: "wrong bytes as the proof of a size",
      answer: answer({
        pieceOf: (piece) =>
          (piece + 1) * MIB < sizeBytes ? usual(piece) : wrong(piece),
      }),
      banned: "PIECE_INVALID",
    },
    {
      name: "wrong piece hashes",
      answer: answer({
        metadata: {
          ...metadata,
          pieceHashes: metadata.pieceHashes.map((b) => b ^ 1),
        },
      }),
      banned: "CONTENT_INVALID",
    },
    {
      name: "a size a little larger, with the right hashes",
      answer: answer({ metadata: resized(100) }),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "a size a little smaller, with the right hashes",
      answer: answer({ metadata: resized(-100) }),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "another size than the manifest's",
      answer: answer({ metadata: resized(-100) }),
      banned: "CONTENT_INVALID",
      sized: true,
    },
    {
      name: "another size in its map",
      answer: answer({ mapSizeBytes: sizeBytes + 4 * MIB }),
      banned: "CONTENT_INVALID",
      sized: true,
    },
    {
      name: "sixteen exabytes",
      answer: butFor(AskType.Interest, ({ channel }: Ask, stream) => {
        const head = Buffer.from(listHead(AnswerType.HaveMap, channel, 0, 0));
        head.fill(0xff, 5, 13);
        void stream.send(head, new Uint8Array(1000));
      }),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "a terabyte of hashes",
      answer: butFor(AskType.AskHashes, async ({ channel }: Ask, stream) => {
        const head = listHead(AnswerType.Hashes, channel, 2 ** 42, 0);
        for (let i = 0; i < 100; i++)
          await stream.send(head, new Uint8Array(HASHES_PER_FRAME * 32));
      }),
      banned: "CONTENT_INVALID",
    },
    {
      name: "pieces past the end of its map",
      answer: onRequest(({ channel }, stream) => {
        void stream.send(encodeHave(channel, true, [4_000_000_000]));
      }),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "pieces that were not asked for",
      answer: butFor(AskType.AskHashes, ({ channel }: Ask, stream) => {
        void stream.send(pieceHead(channel, 3, 0), new Uint8Array(FRAME));
      }),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "a piece without end",
      answer: onRequest(async ({ channel, piece }, stream) => {
        const whole = usual(piece);
        for (let at = 0; ; at += FRAME) {
          const data = whole.subarray(at % MIB, (at % MIB) + FRAME);
          await stream.send(pieceHead(channel, piece, at), data);
        }
      }),
      banned: "FRAME_MALFORMED",
      sized: true,
    },
    {
      name: "a byte a frame",
      answer: onRequest(({ channel, piece }, stream) => {
        void stream.send(pieceHead(channel, piece, 0), new Uint8Array(1));
      }),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "a channel that was never opened",
      answer: (_, stream) => {
        void stream.send(encodeReject(77, WHOLE, Reason.NotHere));
      },
      banned: "FRAME_MALFORMED",
    },
    {
      name: "nonsense",
      answer: (_, stream) => void stream.send(randomBytes(100).fill(99, 0, 1)),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "a frame of a megabyte",
      answer: (_, stream) => void stream.send(new Uint8Array(MIB)),
      banned: "FRAME_TOO_LARGE",
    },
    {
      name: "haves without end",
      answer: butFor(AskType.AskHashes, async ({ channel }: Ask, stream) => {
        const pieces = Array.from({ length: HAVES_PER_FRAME }, () => 1);
        await endless(stream, encodeHave(channel, false, pieces));
      }),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "hashes without end",
      answer: onRequest(async ({ channel }, stream) => {
        const head = listHead(AnswerType.Hashes, channel, 2 ** 40, 0);
        await endless(stream, head, new Uint8Array(HASHES_PER_FRAME * 32));
      }),
      banned: "FRAME_MALFORMED",
      sized: true,
    },
    { name: "silence from the start", answer: never },
    { name: "silence about hashes", answer: butFor(AskType.AskHashes, never) },
    {
      name: "silence about pieces",
      answer: butFor(AskType.Request, never),
      sized: true,
    },
    {
      name: "half a piece and then silence",
      answer: onRequest(async ({ channel, piece }, stream) => {
        const data = right(piece).subarray(0, FRAME);
        await stream.send(pieceHead(channel, piece, 0), data);
      }),
      sized: true,
    },
    {
      name: "a place in a line that never moves",
      answer: onRequest((_, stream) => {
        void stream.send(encodeSlot(false, 1000));
      }),
      sized: true,
    },
    {
      name: "its turn again and again instead of pieces",
      answer: onRequest((_, stream) => {
        const timer = setInterval(() => {
          void stream.send(encodeSlot(true, 0));
        }, 50);
        stream.onClose(() => clearInterval(timer));
      }),
      sized: true,
    },
    {
      name: "no to every request",
      answer: onRequest(({ channel, piece }, stream) => {
        void stream.send(encodeReject(channel, piece, Reason.TooMany));
      }),
      sized: true,
    },
    {
      name: "the end of the stream",
      answer: (_, stream) => void stream.close(),
    },
  ];
}
