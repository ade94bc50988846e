import assert from "node:assert/strict";
import { type Stream, StreamMessageEvent } from "@libp2p/interface";
import { describe, test, type TestContext } from "node:test";
import { isShoalError, ShoalError } from "../lib/index.ts";
import {
  acceptStream,
  closeOf,
  startHost,
  targetOf,
  TRANSPORTS,
  within,
} from "../../test/support/network.ts";
import {
  Libp2pFrameStream,
  type FrameStream,
  type FrameStreamOptions,
} from "./frame-stream.ts";
import type { TransportName } from "./address.ts";
import type { Host } from "./host.ts";

const PROTOCOL = "/test/frames/1";
const MIB = 1 << 20;

interface Pair {
  a: Host;
  b: Host;
  /** Opened by b. */
  near: FrameStream;
  /** Accepted by a. */
  far: FrameStream;
}

async function pair(
  t: TestContext,
  transport: TransportName,
  near: FrameStreamOptions = { maxFrameBytes: 8 * MIB },
  far: FrameStreamOptions = near,
): Promise<Pair> {
  const [a, b] = [await startHost(t), await startHost(t)];
  const accepted = acceptStream(a, PROTOCOL, far);
  const stream = await b.openStream(targetOf(a, transport), PROTOCOL, near);
  assert.equal(stream.transport, transport);
  return {
    a,
    b,
    near: stream,
    far: await within(accepted, "the stream to arrive"),
  };
}

/** Resolves with the next `count` frames. */
function nextFrames(stream: FrameStream, count: number): Promise<Uint8Array[]> {
  return within(
    new Promise((resolve, reject) => {
      const frames: Uint8Array[] = [];
      stream.onFrame((frame) => {
        frames.push(frame);
        if (frames.length === count) resolve(frames);
      });
      stream.onClose((error) => reject(error ?? new Error("ended early")));
    }),
    `${count} frames`,
  );
}

for (const transport of TRANSPORTS) {
  describe(`a frame stream over ${transport}`, () => {
    test("carries frames of every size in order, both ways", async (t) => {
      const { near, far } = await pair(t, transport);
      const sizes = [
        0,
        1,
        3,
        4,
        1200,
        16 * 1024,
        65_536,
        65_537,
        300_000,
        5 * MIB,
        7,
      ];
      const bodies = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
      far.onFrame((frame) => far.send(frame));
      const echoed = nextFrames(near, sizes.length);
      // In two parts each, to see them joined.
      for (const body of bodies)
        await near.send(body.subarray(0, 2), body.subarray(2));
      for (const [i, frame] of (await echoed).entries()) {
        assert.equal(
          Buffer.compare(frame, bodies[i] ?? new Uint8Array()),
          0,
          `frame ${i} of ${sizes[i]} bytes`,
        );
      }
      assert.equal(far.peer !== near.peer && far.protocol, PROTOCOL);
    });

    test("a clean end between frames is not an error on either side", async (t) => {
      const { near, far } = await pair(t, transport);
      const frames = nextFrames(far, 1);
      const ends = Promise.all([closeOf(near), closeOf(far)]);
      void near.send(Uint8Array.of(1));
      await near.close();
      assert.deepEqual([...((await frames)[0] ?? [])], [1]);
      assert.deepEqual(await ends, [undefined, undefined]);
      await assert.rejects(
        async () => near.send(Uint8Array.of(2)),
        (error) => isShoalError(error, "STREAM_CLOSED"),
      );
    });

    test("frames sent before the end arrive, even with a slow handler", async (t) => {
      const { near, far } = await pair(t, transport);
      const seen: number[] = [];
      far.onFrame(async (frame) => {
        await new Promise(setImmediate);
        seen.push(frame[0] ?? -1);
      });
      const end = closeOf(far);
      for (let i = 0; i < 50; i++)
        void near.send(Uint8Array.of(i), new Uint8Array(10_000));
      await near.close();
      assert.equal(await end, undefined);
      assert.deepEqual(
        seen,
        Array.from({ length: 50 }, (_, i) => i),
      );
    });

    test("a reset is an error, not an end", async (t) => {
      const { near, far } = await pair(t, transport);
      const frames = nextFrames(far, 1);
      const end = closeOf(far);
      void near.send(Uint8Array.of(1));
      await frames;
      near.abort(new ShoalError("ABORTED", "enough"));
      const error = await end;
      assert.ok(isShoalError(error, "STREAM_CLOSED"), String(error));
      assert.match(error.message, /reset/);
    });

    test("a frame over the receiver's limit is refused before it is read", async (t) => {
      const { near, far } = await pair(
        t,
        transport,
        { maxFrameBytes: MIB },
        { maxFrameBytes: 1000 },
      );
      far.onFrame(() => assert.fail("no frame was sent whole"));
      const ends = Promise.all([closeOf(near), closeOf(far)]);
      void near.send(new Uint8Array(1001));
      const [atNear, atFar] = await ends;
      assert.ok(isShoalError(atFar, "FRAME_TOO_LARGE"), String(atFar));
      assert.ok(isShoalError(atNear, "STREAM_CLOSED"), String(atNear));
    });

    test("a frame above the sender's own limit is refused, and the stream stays open", async (t) => {
      const { near, far } = await pair(t, transport, { maxFrameBytes: 1000 });
      const frames = nextFrames(far, 1);
      await assert.rejects(
        async () => near.send(new Uint8Array(1001)),
        (error) => isShoalError(error, "FRAME_TOO_LARGE"),
      );
      void near.send(Uint8Array.of(9));
      assert.deepEqual([...((await frames)[0] ?? [])], [9]);
    });

    test("a handler that throws aborts the stream with its error", async (t) => {
      const { near, far } = await pair(t, transport);
      far.onFrame(() => {
        throw new ShoalError("FRAME_MALFORMED", "nonsense");
      });
      const ends = Promise.all([closeOf(near), closeOf(far)]);
      void near.send(Uint8Array.of(1));
      const [atNear, atFar] = await ends;
      assert.ok(
        isShoalError(atFar, "FRAME_MALFORMED") &&
          isShoalError(atNear, "STREAM_CLOSED"),
      );
    });

    test("40 MiB pass a slow reader, and neither side holds more than its windows", async (t) => {
      const { near, far } = await pair(t, transport);
      const total = 40 * MIB;
      const frame = new Uint8Array(256 * 1024);
      let received = 0;
      let sent = 0;
      let mostInFlight = 0;
      const done = within(
        new Promise<void>((resolve) => {
          far.onFrame(async ({ byteLength }) => {
            mostInFlight = Math.max(mostInFlight, sent - received);
            received += byteLength;
            if (received === total) resolve();
            // One frame per turn of the event loop: slower than the sender.
            await new Promise(setImmediate);
          });
        }),
        "40 MiB",
      );
      while (sent < total) {
        sent += frame.byteLength;
        await near.send(frame);
      }
      await done;
      // Queue 1 MiB, quinn's send buffer 10 MiB or yamux's window 4 MiB, receiver's window 4 MiB, its queue 1 MiB, sockets.
      assert.ok(
        mostInFlight < 24 * MIB,
        `${(mostInFlight / MIB).toFixed(1)} MiB were in flight`,
      );
    });

    test("a reader that never reads runs into the writer's deadline", async (t) => {
      const { near, far } = await pair(t, transport, {
        maxFrameBytes: MIB,
        writeDeadlineMs: 1_000,
      });
      far.onFrame(() => new Promise<void>(() => {}));
      const end = closeOf(near);
      const frame = new Uint8Array(MIB);
      const outcome = (async () => {
        for (let i = 0; i < 100; i++) await near.send(frame);
      })();
      await assert.rejects(outcome, (error) => isShoalError(error, "DEADLINE"));
      const error = await end;
      assert.ok(
        isShoalError(error, "DEADLINE") && error.details.peer === near.peer,
        String(error),
      );
    });

    test("a sender that does not wait is stopped before memory runs out", async (t) => {
      const { near, far } = await pair(t, transport, { maxFrameBytes: MIB });
      far.onFrame(() => new Promise<void>(() => {}));
      const end = closeOf(near);
      const frame = new Uint8Array(MIB);
      for (let i = 0; i < 64; i++) void near.send(frame);
      assert.ok(isShoalError(await end, "STREAM_OVERFLOW"));
    });

    test("streams of one peer are limited, and given back", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      a.handleStreams(
        PROTOCOL,
        (stream) => stream.onFrame((frame) => stream.send(frame)),
        { maxFrameBytes: 100, maxStreamsPerPeer: 2 },
      );
      /** A stream over which an echo came back. */
      const open = async (): Promise<FrameStream> => {
        const stream = await b.openStream(targetOf(a, transport), PROTOCOL, {
          maxFrameBytes: 100,
        });
        const echoed = nextFrames(stream, 1);
        void stream.send(Uint8Array.of(1));
        await echoed;
        return stream;
      };
      const [first] = [await open(), await open()];
      await assert.rejects(open(), (error) =>
        isShoalError(error, "STREAM_CLOSED"),
      );
      const ended = closeOf(first);
      await first.close();
      await ended;
      await open();
    });
  });
}

/** The part of a libp2p stream that a reader needs. */
class RawDouble extends EventTarget {
  readonly protocol = PROTOCOL;
  readonly status = "open";
  readonly remoteWriteStatus = "writable";
  readonly readableEnded = false;
  readStatus = "readable";

  pause(): void {
    this.readStatus = "paused";
  }

  resume(): void {
    this.readStatus = "readable";
  }
}

test("empty frames that wait for their handler count too: the stream stops reading", async () => {
  const raw = new RawDouble();
  const stream = new Libp2pFrameStream(
    raw as unknown as Stream,
    { peer: "liar", address: "", transport: "TCP" },
    { maxFrameBytes: 100 },
  );
  const first = Promise.withResolvers<void>();
  const all = Promise.withResolvers<void>();
  let handled = 0;
  stream.onFrame(async () => {
    handled++;
    if (handled === 1) await first.promise;
    if (handled === 16_384) setImmediate(all.resolve);
  });
  // Zeros: 16,384 lengths of zero.
  raw.dispatchEvent(new StreamMessageEvent(new Uint8Array(65_536)));
  assert.equal(raw.readStatus, "paused");
  first.resolve();
  await within(all.promise, "all of them to be handled");
  assert.equal(raw.readStatus, "readable");
});
