/**
 * Bounds that @libp2p/yamux (8.0.3) lacks on what a peer can make us keep before our own code sees it.
 *
 * - Its decoder gathers a whole data frame, of whatever length the header claims (a u32), before it looks whether the stream exists and
 *   has room for it. Here the header alone decides: no more than the stream's window is gathered, and what is for a stream that is gone
 *   is passed over as it comes.
 * - It answers every ping, refused stream and frame of data, and queues the answers without end if the peer reads none of them. Here so many
 *   wait, no more; and pings are few.
 */
import type {
  MessageStream,
  StreamMuxer,
  StreamMuxerFactory,
} from "@libp2p/interface";
import { isUint8ArrayList, type Uint8ArrayList } from "uint8arraylist";
import { ShoalError, systemClock } from "../lib/index.ts";
import { DEFAULTS } from "./defaults.ts";
import { PeerQuota } from "./peer-quota.ts";

/** https://github.com/hashicorp/yamux/blob/master/spec.md: version, type, flags, stream, length; big-endian. */
const HEADER_BYTES = 12;
const DATA = 0;
const PING = 2;
const SYN = 1;
/** Of a stream at its start; the specification's. */
const INITIAL_WINDOW_BYTES = 256 * 1024;
/** More parts than this are joined if they are smaller in total than the second number. */
const MAX_PARTS = 1_024;
const SMALL_BYTES = 512;

interface Frame {
  header: { type: number; flag: number; streamID: number; length: number };
  data?: Uint8ArrayList;
}

/** The internals that are bounded, as of 8.0.3; checked when a muxer is created. */
interface YamuxInsides {
  streams: readonly { streamId: number; recvWindowCapacity: number }[];
  decoder: {
    buffer: Uint8ArrayList;
    emitFrames(chunk: Uint8Array | Uint8ArrayList): Iterable<Frame>;
  };
  send(data: Uint8Array | Uint8ArrayList): boolean;
}

/** It does not say how many arrays it consists of (uint8arraylist 3.0.2). */
function partsOf(list: Uint8ArrayList): number {
  return (list as unknown as { bufs: readonly Uint8Array[] }).bufs.length;
}

/** Bounds each muxer that `factory` creates. */
export function bounded<C>(
  factory: (components: C) => StreamMuxerFactory,
): (components: C) => StreamMuxerFactory {
  return (components) => {
    const muxers = factory(components);
    const createStreamMuxer = muxers.createStreamMuxer.bind(muxers);
    muxers.createStreamMuxer = (connection) => {
      const muxer = createStreamMuxer(connection);
      const insides = insidesOf(muxer);
      const { decoder } = insides;
      decoder.emitFrames = frames(decoder.buffer, insides);
      const queue = queueOf(connection);
      insides.send = counted(insides.send.bind(insides), queue, connection);
      return muxer;
    };
    return muxers;
  };
}

/** At most one frame with room in its stream is collected. */
function frames(
  buffer: Uint8ArrayList,
  muxer: Pick<YamuxInsides, "streams">,
): YamuxInsides["decoder"]["emitFrames"] {
  /** The rest of a frame that nobody waits for. */
  let passOver = 0;
  const pings = new PeerQuota(
    DEFAULTS.yamuxPingBurst,
    DEFAULTS.yamuxPingsPerSecond,
    systemClock,
  );
  const late = new PeerQuota(
    DEFAULTS.yamuxLateBurstBytes,
    DEFAULTS.yamuxLateBytesPerSecond,
    systemClock,
  );
  return function* emitFrames(chunk) {
    buffer.append(chunk);
    // A peer that sends byte by byte does not make us keep an object for each.
    const parts = partsOf(buffer);
    if (parts > MAX_PARTS && buffer.byteLength < parts * SMALL_BYTES) {
      const whole = buffer.slice();
      buffer.consume(buffer.byteLength);
      buffer.append(whole);
    }
    for (;;) {
      const passed = Math.min(passOver, buffer.byteLength);
      if (passed > 0) buffer.consume(passed);
      passOver -= passed;
      if (passOver > 0 || buffer.byteLength < HEADER_BYTES) return;
      const header = readHeader(buffer.subarray(0, HEADER_BYTES));
      if (header.type !== DATA) {
        buffer.consume(HEADER_BYTES);
        if (header.type === PING && !pings.take(""))
          throw malformed("too many pings");
        yield { header };
        continue;
      }
      const windowBytes = windowOf(header, muxer);
      if (windowBytes === undefined) {
        if (!late.take("", header.length))
          throw malformed(`${header.length} more bytes for a closed stream`);
        buffer.consume(HEADER_BYTES);
        passOver = header.length;
        continue;
      }
      if (header.length > windowBytes) throw tooLarge(header, windowBytes);
      const end = HEADER_BYTES + header.length;
      if (buffer.byteLength < end) return;
      const data = buffer.sublist(HEADER_BYTES, end);
      buffer.consume(end);
      yield { header, data };
    }
  };
}

/** How much the stream accepts now; undefined if it is gone or never existed. */
function windowOf(
  { streamID, flag }: Frame["header"],
  { streams }: Pick<YamuxInsides, "streams">,
): number | undefined {
  const stream = streams.find(({ streamId }) => streamId === streamID);
  if (stream !== undefined) return stream.recvWindowCapacity;
  return (flag & SYN) === SYN ? INITIAL_WINDOW_BYTES : undefined;
}

function readHeader(bytes: Uint8Array): Frame["header"] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== 0) throw malformed("not version 0");
  return {
    type: view.getUint8(1),
    flag: view.getUint16(2),
    streamID: view.getUint32(4),
    length: view.getUint32(8),
  };
}

/** Unread answers are counted, not measured in bytes, because an answer of 12 bytes takes ten times that in memory. */
function counted(
  send: YamuxInsides["send"],
  queue: Uint8ArrayList,
  connection: MessageStream,
): YamuxInsides["send"] {
  return (data) => {
    const sent = send(data);
    const queued = partsOf(queue);
    // Not thrown, because the sender may be about to say goodbye.
    if (queued > DEFAULTS.yamuxQueuedFrames && connection.status === "open")
      connection.abort(malformed(`${queued} unread answers`));
    return sent;
  };
}

function insidesOf(muxer: StreamMuxer): YamuxInsides {
  const insides = muxer as unknown as Partial<YamuxInsides>;
  if (
    isUint8ArrayList(insides.decoder?.buffer) &&
    typeof insides.decoder.emitFrames === "function" &&
    typeof insides.send === "function" &&
    Array.isArray(insides.streams)
  )
    return insides as YamuxInsides;
  throw new ShoalError(
    "INTERNAL",
    "unexpected yamux version: frame bounds cannot be applied",
  );
}

/** What waits to be written, as of @libp2p/utils 7.4.1, in every stream and connection. */
function queueOf(connection: MessageStream): Uint8ArrayList {
  const { writeBuffer } = connection as unknown as { writeBuffer?: unknown };
  if (isUint8ArrayList(writeBuffer)) return writeBuffer;
  throw new ShoalError("INTERNAL", "unexpected kind of libp2p connection");
}

function tooLarge(
  { streamID, length }: Frame["header"],
  windowBytes: number,
): ShoalError {
  return malformed(
    `${length} bytes for stream ${streamID}, which accepts ${windowBytes}`,
  );
}

function malformed(what: string): ShoalError {
  return new ShoalError("FRAME_MALFORMED", `yamux: ${what}`);
}
