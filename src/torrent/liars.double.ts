/** Sources that lie, stall and flood, each in one way. */
import type { TestContext } from "node:test";
import { startHost, targetOf } from "../../test/support/network.ts";
import type { ErrorCode } from "../lib/index.ts";
import type { FrameStream } from "../network/index.ts";
import { metadataOf } from "./store.double.ts";
import { PieceSet } from "./piece-set.ts";
import { pieceCount } from "./piece-tree.ts";
import type { PeerSpec } from "./source.ts";
import { MIB, randomBytes } from "./transfer.double.ts";
import type { ContentMetadata } from "./types.ts";
import {
  AnswerType,
  type Ask,
  AskType,
  decodeAsk,
  encodeHave,
  encodeReject,
  encodeSlot,
  listHead,
  MAX_ASK_BYTES,
  pieceHead,
  Reason,
  TORRENT_PROTOCOL,
  WHOLE,
} from "./wire.ts";

export const BYTES = randomBytes(5 * MIB + 777);
const METADATA = metadataOf(BYTES);
export const { root: ROOT } = METADATA;
const FRAME = 128 * 1024;

type Answerer = (ask: Ask, stream: FrameStream) => void | Promise<void>;

/** What an honest peer says; a liar changes some of it. */
interface Claim {
  metadata?: ContentMetadata;
  mapSizeBytes?: number;
  bytes?: Uint8Array;
}

function answer(claim: Claim = {}): Answerer {
  const { metadata = METADATA, bytes = BYTES } = claim;
  const { mapSizeBytes = metadata.sizeBytes, mapBits } = {
    ...claim,
    mapBits: PieceSet.full(pieceCount(claim.mapSizeBytes ?? metadata.sizeBytes))
      .bits,
  };
  return async (ask, stream) => {
    if (ask.type === AskType.Interest) {
      const head = listHead(AnswerType.HaveMap, ask.channel, mapSizeBytes, 0);
      await stream.send(head, mapBits);
    } else if (ask.type === AskType.AskHashes) {
      const { sizeBytes, pieceHashes } = metadata;
      const head = listHead(AnswerType.Hashes, ask.channel, sizeBytes, 0);
      await stream.send(head, pieceHashes);
    } else if (ask.type === AskType.Request) {
      const { channel, piece } = ask;
      const whole = bytes.subarray(piece * MIB, (piece + 1) * MIB);
      for (let at = 0; at < whole.length; at += FRAME) {
        const data = whole.subarray(at, at + FRAME);
        await stream.send(pieceHead(channel, piece, at), data);
      }
    }
  };
}

/** An honest peer but for what is asked with `type`. */
function butFor(type: Ask["type"], lie: Answerer): Answerer {
  const honest = answer();
  return (ask, stream) => (ask.type === type ? lie : honest)(ask, stream);
}

/** Honest bytes, the others flipped. */
function flipped(): Uint8Array {
  return BYTES.map((byte, i) => (i % MIB === 500_000 ? byte ^ 1 : byte));
}

function resized(sizeBytes: number): ContentMetadata {
  return { ...METADATA, sizeBytes };
}

async function never(): Promise<void> {}

export interface Lie {
  name: string;
  answer: Answerer;
  /** The code of the ban; undefined: not banned, only left alone. */
  banned?: ErrorCode;
  /** The size is known from a manifest. */
  sized?: boolean;
}

export const LIES: readonly Lie[] = [
  {
    name: "wrong bytes",
    answer: answer({ bytes: flipped() }),
    banned: "PIECE_INVALID",
    sized: true,
  },
  {
    name: "wrong bytes as the proof of a size",
    answer: answer({ bytes: flipped().fill(0, 5 * MIB) }),
    banned: "PIECE_INVALID",
  },
  {
    name: "wrong piece hashes",
    answer: answer({
      metadata: {
        ...METADATA,
        pieceHashes: METADATA.pieceHashes.map((b) => b ^ 1),
      },
    }),
    banned: "CONTENT_INVALID",
  },
  {
    name: "a size a little larger, with the right hashes",
    answer: answer({ metadata: resized(BYTES.length + 100) }),
    banned: "FRAME_MALFORMED",
  },
  {
    name: "a size a little smaller, with the right hashes",
    answer: answer({ metadata: resized(BYTES.length - 100) }),
    banned: "FRAME_MALFORMED",
  },
  {
    name: "another size than the manifest's",
    answer: answer({ metadata: resized(BYTES.length - 100) }),
    banned: "CONTENT_INVALID",
    sized: true,
  },
  {
    name: "another size in its map",
    answer: answer({ mapSizeBytes: 9 * MIB }),
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
        await stream.send(head, new Uint8Array(4096 * 32));
    }),
    banned: "CONTENT_INVALID",
  },
  {
    name: "pieces past the end of its map",
    answer: butFor(AskType.Request, ({ channel }: Ask, stream) => {
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
    name: "more of a piece than there is",
    answer: butFor(AskType.Request, async (ask, stream) => {
      if (ask.type !== AskType.Request) return;
      for (let at = 0; ; at += FRAME) {
        const head = pieceHead(ask.channel, ask.piece, at);
        const start = ask.piece * MIB + (at % MIB);
        await stream.send(head, BYTES.subarray(start, start + FRAME));
      }
    }),
    banned: "FRAME_MALFORMED",
    sized: true,
  },
  {
    name: "a byte a frame",
    answer: butFor(AskType.Request, (ask, stream) => {
      if (ask.type !== AskType.Request) return;
      const head = pieceHead(ask.channel, ask.piece, 0);
      void stream.send(head, new Uint8Array(1));
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
      const frame = encodeHave(
        channel,
        false,
        Array.from({ length: 1024 }, () => 1),
      );
      for (;;) await stream.send(frame);
    }),
    banned: "FRAME_MALFORMED",
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
    answer: butFor(AskType.Request, async (ask, stream) => {
      if (ask.type !== AskType.Request) return;
      const { channel, piece } = ask;
      const data = BYTES.subarray(piece * MIB, piece * MIB + FRAME);
      await stream.send(pieceHead(channel, piece, 0), data);
    }),
    sized: true,
  },
  {
    name: "a place in a line that never moves",
    answer: butFor(AskType.Request, (_, stream) => {
      void stream.send(encodeSlot(false, 1000));
    }),
    sized: true,
  },
  {
    name: "no to every request",
    answer: butFor(AskType.Request, (ask, stream) => {
      if (ask.type !== AskType.Request) return;
      void stream.send(encodeReject(ask.channel, ask.piece, Reason.TooMany));
    }),
    sized: true,
  },
  {
    name: "the end of the stream",
    answer: (_, stream) => void stream.close(),
  },
];

export async function liar(
  t: TestContext,
  lie: Answerer,
): Promise<{ spec: PeerSpec; asked: Promise<void> }> {
  const host = await startHost(t);
  const asked = Promise.withResolvers<void>();
  host.handleStreams(
    TORRENT_PROTOCOL,
    (stream) => {
      stream.onFrame((frame) => {
        asked.resolve();
        // Does not wait: a liar reads on while it floods.
        Promise.resolve(lie(decodeAsk(frame), stream)).catch(() => {});
      });
    },
    { maxFrameBytes: MAX_ASK_BYTES, maxSendFrameBytes: 2 * MIB },
  );
  const { addresses } = targetOf(host, "TCP");
  return {
    spec: { kind: "peer", peerId: host.peerId, addresses },
    asked: asked.promise,
  };
}
