import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { FrameReader } from "./frame-reader.ts";

function frame(...bytes: number[]): number[] {
  return [bytes.length, 0, 0, 0, ...bytes];
}

function readAll(
  chunks: Uint8Array[],
  maxFrameBytes = 1024,
): { frames: number[][]; reader: FrameReader } {
  const frames: number[][] = [];
  const reader = new FrameReader(maxFrameBytes, (f) => frames.push([...f]));
  for (const chunk of chunks) reader.push(chunk);
  return { frames, reader };
}

describe("frames come out whole, however the bytes are cut", () => {
  const bytes = Uint8Array.from([
    ...frame(1, 2, 3),
    ...frame(),
    ...frame(4),
    ...frame(5, 6, 7, 8, 9),
  ]);
  const expected = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9]];
  for (let size = 1; size <= bytes.length; size++) {
    test(`into pieces of ${size}`, () => {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size)
        chunks.push(bytes.slice(at, at + size));
      const { frames, reader } = readAll(chunks);
      assert.deepEqual(frames, expected);
      assert.equal(reader.atBoundary, true);
    });
  }
});

test("an empty frame at the end of a chunk is not held back", () => {
  assert.deepEqual(readAll([Uint8Array.from(frame())]).frames, [[]]);
});

test("a frame inside one chunk is a view of it, not a copy", () => {
  const chunk = Uint8Array.from(frame(1, 2, 3));
  let view: Uint8Array | undefined;
  new FrameReader(16, (f) => {
    view = f;
  }).push(chunk);
  assert.equal(view?.buffer, chunk.buffer);
});

test("the middle of a header or a body is not a boundary", () => {
  assert.equal(readAll([Uint8Array.of(3)]).reader.atBoundary, false);
  assert.equal(
    readAll([Uint8Array.from(frame(1, 2).slice(0, 5))]).reader.atBoundary,
    false,
  );
});

test("a length above the limit is refused before memory is allocated", () => {
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(
    () => readAll([Uint8Array.of(0xff, 0xff, 0xff, 0xff)], 1 << 20),
    (error) =>
      isShoalError(error, "FRAME_TOO_LARGE") &&
      error.details.bytes === 0xff_ff_ff_ff,
  );
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
});

test("an announced gigabyte costs only what arrives", () => {
  const before = process.memoryUsage().arrayBuffers;
  const { reader } = readAll([Uint8Array.of(0, 0, 0, 0x40, 1, 2, 3)], 2 ** 31);
  assert.equal(reader.atBoundary, false);
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 << 20);
});

test("a frame larger than the first buffer is collected completely", () => {
  const body = Uint8Array.from({ length: 3_000_000 }, (_, i) => i % 251);
  const all = Buffer.concat([
    Buffer.from(Uint32Array.of(body.length).buffer),
    body,
  ]);
  let got: Uint8Array | undefined;
  const reader = new FrameReader(4 << 20, (f) => {
    got = f;
  });
  for (let at = 0; at < all.length; at += 65_521)
    reader.push(all.subarray(at, at + 65_521));
  assert.ok(got !== undefined && Buffer.compare(got, body) === 0);
});

test("frames that are handled at once share one buffer, and each has the sent bytes", () => {
  const bodies = Array.from({ length: 20 }, (_, k) =>
    Uint8Array.from(
      { length: 1_000 + 7_000 * (k % 5) },
      (_, i) => (i * k) % 251,
    ),
  );
  const all = Buffer.concat(
    bodies.flatMap((body) => [
      Buffer.from(Uint32Array.of(body.length).buffer),
      body,
    ]),
  );
  const memory = new Set<ArrayBufferLike>();
  let at = 0;
  let whole = 0;
  const reader = new FrameReader(
    1 << 20,
    (frame) => {
      assert.deepEqual(Buffer.from(frame), Buffer.from(bodies[at++]!));
      if (frame.buffer === all.buffer) whole++;
      else memory.add(frame.buffer);
    },
    { reuse: true },
  );
  for (let from = 0; from < all.length; from += 4_099)
    reader.push(all.subarray(from, from + 4_099));
  assert.equal(at, bodies.length);
  assert.ok(whole < bodies.length / 2);
  // A longer one may have needed another.
  assert.ok(memory.size <= 5, `${memory.size} buffers`);
});
