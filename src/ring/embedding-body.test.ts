/** EMBEDDING is as long as it says, and of numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeEmbedding, MAX_EMBEDDING } from "./embedding-body.ts";
import { decodeFrame, encodeFrame, FrameType } from "./frames.ts";

function frame(count: number, values: readonly number[]): Buffer {
  const head = { flags: 0, stage: 1, position: 5, elapsedUs: 0 };
  return encodeFrame(
    { ...head, type: FrameType.Embedding, count, session: "5e".repeat(16) },
    new Uint8Array(Float32Array.from(values).buffer),
  );
}

test("an embedding comes back as it was", () => {
  const values = [1.5, -0.25, 3e-38];
  const { body, position } = decodeFrame(frame(3, values));
  assert.equal(position, 5);
  assert.deepEqual(decodeEmbedding(body), Float32Array.from(values));
});

test("another length, none, too many, and what is no number are refused", () => {
  const many = Array<number>(MAX_EMBEDDING + 1).fill(0);
  for (const [count, values] of [
    [2, [1]],
    [1, [1, 2]],
    [0, []],
    [MAX_EMBEDDING + 1, many],
  ] as const)
    assert.throws(() => decodeFrame(frame(count, values)), {
      code: "FRAME_MALFORMED",
    });
  for (const value of [NaN, Infinity])
    assert.throws(() => decodeEmbedding(decodeFrame(frame(1, [value])).body), {
      code: "FRAME_MALFORMED",
    });
});
