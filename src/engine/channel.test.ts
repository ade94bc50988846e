import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeHeader,
  floatsOf,
  type Frame,
  FrameParser,
  HEADER_BYTES,
  intsOf,
  MAX_BODY_BYTES,
} from "./channel.ts";

for (const offset of [0, 1, 2, 3]) {
  test(`numbers are read from a Buffer at offset ${offset}`, () => {
    const bytes = Buffer.alloc(12).subarray(offset, offset + 8);
    bytes.writeInt32LE(-7, 0);
    bytes.writeInt32LE(9, 4);
    assert.deepEqual([...intsOf(bytes)], [-7, 9]);
    bytes.writeFloatLE(1.5, 0);
    bytes.writeFloatLE(-2, 4);
    assert.deepEqual([...floatsOf(bytes)], [1.5, -2]);
  });
}

test("frames come out whole and in order, however the bytes are cut", () => {
  const bodies = [0, 1, 11, 12, 13, 5000].map((length) =>
    new Uint8Array(length).fill(length & 0xff),
  );
  const wire = Buffer.concat(
    bodies.flatMap((body, i) => [encodeHeader(2, i, body.length), body]),
  );
  for (const size of [1, 3, 12, 13, 100, wire.length]) {
    const parser = new FrameParser();
    const frames: Frame[] = [];
    for (let at = 0; at < wire.length; at += size)
      parser.push(wire.subarray(at, at + size), (f) => frames.push(f));
    assert.deepEqual(
      frames.map(({ op, id, body }) => [op, id, [...body]]),
      bodies.map((body, i) => [2, i, [...body]]),
      `cut every ${size} bytes`,
    );
  }
});

test("a length above the bound is refused at once", () => {
  const header = encodeHeader(1, 1, MAX_BODY_BYTES + 1);
  assert.equal(header.length, HEADER_BYTES);
  assert.throws(() => new FrameParser().push(header, () => {}), {
    code: "FRAME_TOO_LARGE",
  });
});
