/** Sources that lie below the frames, or in frames too small and too many to send one by one: endless bytes, as fast as they are read. */
import type { Connection, Stream } from "@libp2p/interface";
import type { ErrorCode } from "../../src/lib/index.ts";
import { PieceSet, pieceCount } from "../../src/store/index.ts";
import {
  AnswerType,
  encodeHave,
  encodeSlot,
  listHead,
  TORRENT_PROTOCOL,
} from "../../src/transfer/wire.ts";

export interface WireLie {
  name: string;
  /** What it does with a stream that a downloader opens. `redial` opens a connection to whoever that was, and rejects once the liar stops. */
  flood: (
    stream: Stream,
    connection: Connection,
    sent: Sent,
    redial: () => Promise<Connection>,
  ) => void;
  /** The code of the ban; undefined: the connection may end before a stream of ours is open on it, and then nobody is blamed. */
  banned?: ErrorCode;
}

/** Counts. */
type Sent = (bytes: number) => void;

const FOUR_GIB = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
const CHUNK = new Uint8Array(65_536);

export function wireLiesAbout(sizeBytes: number): readonly WireLie[] {
  const { bits } = PieceSet.full(pieceCount(sizeBytes));
  const map = [listHead(AnswerType.HaveMap, 0, sizeBytes, 0), bits];
  return [
    {
      name: "a frame of 4 GiB, and bytes without end",
      flood: (stream, _, sent) => pour(stream, CHUNK, sent, FOUR_GIB),
      banned: "FRAME_TOO_LARGE",
    },
    {
      name: "a frame of 4 GiB, again and again on new streams and connections",
      flood: (stream, connection, sent, redial) => {
        pour(stream, CHUNK, sent, FOUR_GIB);
        void again(connection, sent, redial);
      },
      banned: "FRAME_TOO_LARGE",
    },
    {
      name: "empty frames without end",
      flood: (stream, _, sent) => pour(stream, CHUNK, sent),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "turns without end",
      flood: (stream, _, sent) =>
        pour(stream, repeated(encodeSlot(true, 0)), sent),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "its map without end",
      flood: (stream, _, sent) => pour(stream, repeated(...map), sent),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "one piece more without end",
      flood: (stream, _, sent) =>
        pour(stream, repeated(encodeHave(0, true, [0])), sent, framed(...map)),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "a frame of 4 GiB of the muxer, and bytes without end",
      flood: (stream, _, sent) => pourThroughMuxer(stream, sent),
    },
    {
      name: "bytes without end for a stream that never was",
      flood: (stream, _, sent) => pourThroughMuxer(stream, sent, 2 ** 30),
      banned: "FRAME_MALFORMED",
    },
    {
      name: "pings without end, reading no answer",
      flood: pings,
    },
  ];
}

/** A frame as it is on the wire. */
function framed(...parts: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(4);
  head.writeUInt32LE(body.length);
  return Buffer.concat([head, body]);
}

/** As many of a frame as one chunk holds. */
function repeated(...parts: Uint8Array[]): Uint8Array {
  const frame = framed(...parts);
  const count = Math.ceil(CHUNK.length / frame.length);
  return Buffer.concat(Array.from({ length: count }, () => frame));
}

/** As fast as the stream takes them, until it ends. */
function pour(
  stream: Stream,
  chunk: Uint8Array,
  sent: Sent,
  first?: Uint8Array,
): void {
  const flood = (): void => {
    while (stream.status === "open") {
      sent(chunk.length);
      if (!stream.send(chunk)) return;
    }
  };
  stream.addEventListener("drain", flood);
  if (first !== undefined) stream.send(first);
  flood();
}

const GIVE_UP_MS = 20_000;

/** Whoever ended the stream is asked for another, and flooded there; whoever ended the connection is dialed. */
async function again(
  first: Connection,
  sent: Sent,
  redial: () => Promise<Connection>,
): Promise<void> {
  let connection = first;
  let workedMs = performance.now();
  // A victim that is gone for good is let go; one that is only busy is not.
  while (performance.now() - workedMs < GIVE_UP_MS) {
    try {
      if (connection.status !== "open") connection = await redial();
      const stream = await connection.newStream([TORRENT_PROTOCOL]);
      const gone = new Promise((resolve) => {
        stream.addEventListener("close", resolve, { once: true });
      });
      pour(stream, CHUNK, sent, FOUR_GIB);
      await gone;
      workedMs = performance.now();
    } catch {
      // Does not keep the process: a test may be over.
      await new Promise((resolve) => setTimeout(resolve, 10).unref());
    }
  }
}

/** What @libp2p/yamux (8.0.3) does not tell in its types. */
interface YamuxStream extends Stream {
  streamId: number;
  sendFrame(
    header: { type: number; flag: number; streamID: number; length: number },
    data?: Uint8Array,
  ): boolean;
}
const DATA = 0;
const PING = 2;
const SYN = 1;

/** One frame of 4 GiB: all headers but the first are bytes of it. Or many, for a stream that is not there. */
function pourThroughMuxer(stream: Stream, sent: Sent, other?: number): void {
  const yamux = stream as YamuxStream;
  const header = {
    type: DATA,
    flag: 0,
    streamID: other ?? yamux.streamId,
    length: other === undefined ? 0xffff_ffff : CHUNK.length,
  };
  const flood = (): void => {
    while (stream.status === "open") {
      sent(CHUNK.length);
      if (!yamux.sendFrame(header, CHUNK)) return;
    }
  };
  stream.addEventListener("drain", flood);
  flood();
}

function pings(stream: Stream, connection: Connection, sent: Sent): void {
  const yamux = stream as YamuxStream;
  const { maConn } = (connection as unknown as { muxer: { maConn: Stream } })
    .muxer;
  maConn.pause();
  let length = 0;
  const flood = (): void => {
    // In portions: the answers of one are sent before the next comes.
    for (let i = 0; i < 5_000 && maConn.status === "open"; i++) {
      const header = { type: PING, flag: SYN, streamID: 0, length: length++ };
      sent(12);
      if (!yamux.sendFrame(header)) return;
    }
    if (maConn.status === "open") setImmediate(flood);
  };
  maConn.addEventListener("drain", flood);
  flood();
}
