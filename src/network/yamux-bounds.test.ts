import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageStream, Stream, StreamMuxer } from "@libp2p/interface";
import { multiaddrConnectionPair } from "@libp2p/utils";
import { yamux } from "@libp2p/yamux";
import { DEFAULTS } from "./defaults.ts";
import { bounded } from "./yamux-bounds.ts";

const MIB = 1 << 20;
const DATA = 0;
const WINDOW_UPDATE = 1;
const PING = 2;
const SYN = 1;
const RST = 8;

interface Ends {
  /** What a hostile peer writes goes here. */
  far: MessageStream;
  near: MessageStream;
  muxer: StreamMuxer;
  /** Bytes that near has gathered of a frame. */
  gathered: () => number;
  /** The number of parts. */
  objects: () => number;
  /** Streams that far has opened. */
  streams: Stream[];
}

/** The bounded muxer of an inbound connection, and its unbounded other end. */
function ends(): Ends {
  const [far, near] = multiaddrConnectionPair();
  const muxer = bounded(yamux())({}).createStreamMuxer(near);
  const streams: Stream[] = [];
  muxer.addEventListener("stream", ({ detail }) => streams.push(detail));
  const insides = muxer as unknown as {
    decoder: { buffer: { byteLength: number; bufs: unknown[] } };
  };
  return {
    far,
    near,
    muxer,
    streams,
    gathered: () => insides.decoder.buffer.byteLength,
    objects: () => insides.decoder.buffer.bufs.length,
  };
}

function header(
  type: number,
  flag: number,
  streamID: number,
  length: number,
): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(type, 1);
  bytes.writeUInt16BE(flag, 2);
  bytes.writeUInt32BE(streamID, 4);
  bytes.writeUInt32BE(length, 8);
  return bytes;
}

async function send(far: MessageStream, ...parts: Uint8Array[]): Promise<void> {
  for (const part of parts) far.send(part);
  await settled();
}

/** Everything sent has arrived: the pair passes it on in microtasks and timers of 0 ms. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((r) => setTimeout(r, 2));
}

const open = (id: number): Uint8Array => header(WINDOW_UPDATE, SYN, id, 0);

test("the header of a frame without room in its stream ends the connection", async () => {
  const { far, near, muxer, gathered } = ends();
  await send(far, open(1), header(DATA, 0, 1, 0xffff_ffff));
  assert.equal(near.status, "aborted");
  assert.equal(muxer.status, "closed");
  assert.ok(gathered() <= 12);
});

test("a frame that opens its stream may have the initial window, no more", async () => {
  const fits = ends();
  await send(fits.far, header(DATA, SYN, 1, 256 * 1024));
  assert.equal(fits.near.status, "open");
  const { far, near } = ends();
  await send(far, header(DATA, SYN, 1, 256 * 1024 + 1));
  assert.equal(near.status, "aborted");
});

test("frames of every size pass, however they are cut", async () => {
  const { far, streams, objects } = ends();
  await send(far, open(1));
  const [stream] = streams;
  assert.ok(stream !== undefined);
  const received: Uint8Array[] = [];
  stream.addEventListener("message", ({ data }) => {
    received.push(data.subarray());
  });
  const sizes = [1, 11, 12, 13, 2_500];
  const wire = Buffer.concat(
    sizes.flatMap((size, i) => [
      header(DATA, 0, 1, size),
      new Uint8Array(size).fill(i + 1),
    ]),
  );
  for (const step of [1, 7, 4_096]) {
    received.length = 0;
    let most = 0;
    for (let at = 0; at < wire.length; at += step) {
      far.send(wire.subarray(at, at + step));
      if (at % 100 === 0) await settled();
      most = Math.max(most, objects());
    }
    await settled();
    assert.ok(most < 1_200, `${most} objects for one frame`);
    const expected = Buffer.concat(
      sizes.map((size, i) => new Uint8Array(size).fill(i + 1)),
    );
    assert.equal(Buffer.compare(Buffer.concat(received), expected), 0);
  }
});

test("late data for a closed stream is skipped, whatever its length, and the next stream works", async () => {
  const { far, near, streams, gathered } = ends();
  await send(far, open(1), header(WINDOW_UPDATE, RST, 1, 0));
  await send(far, header(DATA, 0, 1, 2 * MIB), new Uint8Array(MIB));
  assert.equal(gathered(), 0);
  await send(far, new Uint8Array(MIB), open(3));
  assert.equal(near.status, "open");
  assert.equal(streams.length, 2);
});

test("an endless amount is not skipped", async () => {
  const { far, near } = ends();
  const frame = Buffer.concat([header(DATA, 0, 9, MIB), new Uint8Array(MIB)]);
  const most = DEFAULTS.yamuxLateBurstBytes / MIB;
  for (let i = 0; i < most; i++) await send(far, frame);
  assert.equal(near.status, "open");
  for (let i = 0; i < 4; i++) {
    if (near.status === "open") await send(far, frame);
  }
  assert.equal(near.status, "aborted");
});

test("a few pings are answered, a flood ends the connection", async () => {
  const { far, near } = ends();
  let answers = 0;
  far.addEventListener("message", ({ data }) => {
    for (let at = 0; at < data.byteLength; at += 12) {
      if (data.subarray(at + 1, at + 2)[0] === PING) answers++;
    }
  });
  const pings = (count: number): Uint8Array =>
    Buffer.concat(Array.from({ length: count }, () => header(PING, SYN, 0, 7)));
  await send(far, pings(DEFAULTS.yamuxPingBurst));
  assert.equal(near.status, "open");
  assert.ok(answers >= DEFAULTS.yamuxPingBurst);
  await send(far, pings(DEFAULTS.yamuxPingBurst));
  assert.equal(near.status, "aborted");
});

test("answers that the peer does not read end the connection before they pile up", async () => {
  const { far, near } = ends();
  // Streams beyond the thousand that may be open are refused, each with an answer.
  far.pause();
  const { writeBuffer } = near as unknown as {
    writeBuffer: { bufs: unknown[] };
  };
  let most = 0;
  for (let id = 1; near.status === "open" && id < 100_000; id += 2_000) {
    const streams = Array.from({ length: 1_000 }, (_, i) => open(id + 2 * i));
    await send(far, Buffer.concat(streams));
    most = Math.max(most, writeBuffer.bufs.length);
  }
  assert.equal(near.status, "aborted");
  assert.ok(most > 0 && most <= DEFAULTS.yamuxQueuedFrames, `${most} queued`);
});
