/** Whether a reply that changed its route is still computed by the same kinds of engines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kindsOf, otherKind } from "./computed-by.ts";

const AVX2 = "llama.cpp v0.5.0 on CPU AVX2";
const AVX512 = "llama.cpp v0.5.0 on CPU AVX512";

function holder(
  peer: string,
  layerStart: number,
  layerEnd: number,
  engine?: string,
) {
  return { peer, layerStart, layerEnd, engine };
}

test("each layer's engine, as its holder says; a card's number does not count", () => {
  const route = [holder("a", 0, 2), holder("b", 2, 3)];
  const holders = [
    holder("b", 2, 3, "llama.cpp v0.5.0 on CUDA1 A"),
    holder("a", 0, 2, AVX2),
    holder("a", 2, 3, AVX512),
  ];
  assert.deepEqual(kindsOf(route, holders), [
    AVX2,
    AVX2,
    "llama.cpp v0.5.0 on CUDA A",
  ]);
  assert.deepEqual(kindsOf([holder("c", 0, 1)], holders), [undefined]);
});

test("another cut of the same kind is the same; unknown is not told", () => {
  assert.equal(otherKind([AVX2, AVX2], [AVX2, AVX2]), undefined);
  assert.equal(
    otherKind([AVX2, AVX2], [AVX2, AVX512]),
    `${AVX512} instead of ${AVX2}`,
  );
  assert.equal(otherKind([undefined, AVX2], [AVX512, undefined]), undefined);
});
