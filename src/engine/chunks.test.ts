/** How a prompt is cut into the decodes of its prefill: where llama.cpp's graphs end, and never so that other kernels compute it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chunksOf, EXACT_CHUNK_TOKENS } from "./chunks.ts";
import { KV_TYPES } from "./kv.ts";

const sum = (lengths: readonly number[]): number =>
  lengths.reduce((total, length) => total + length, 0);

test("known lengths", () => {
  const cases: [prompt: number, chunk: number, expected: number[]][] = [
    [1, 192, [1]],
    [63, 192, [63]],
    [150, 192, [150]],
    [150, 128, [76, 74]],
    [193, 192, [96, 97]],
    [512, 192, [172, 172, 168]],
    [513, 192, [172, 172, 168, 1]],
    [712, 192, [172, 172, 168, 100, 100]],
  ];
  for (const [prompt, chunk, expected] of cases)
    assert.deepEqual(chunksOf(prompt, chunk, "f16"), expected);
});

test("every prompt of f16 keys is cut where no kernel changes", () => {
  for (const chunkTokens of [EXACT_CHUNK_TOKENS, 128, 129, 191, 192, 512])
    for (let prompt = 1; prompt <= 1700; prompt++) {
      const chunks = chunksOf(prompt, chunkTokens, "f16");
      const what = `${prompt} by ${chunkTokens}: ${chunks.join(" ")}`;
      assert.equal(sum(chunks), prompt, what);
      assert.ok(Math.max(...chunks) <= chunkTokens, what);
      let position = 0;
      for (const chunk of chunks) {
        const graphStart = position - (position % 512);
        const graph = Math.min(512, prompt - graphStart);
        const end = position + chunk;
        assert.ok(end <= graphStart + graph, what);
        if (graph < 64) assert.equal(chunk, graph, what);
        else assert.ok(chunk >= 64, what);
        if (end < graphStart + graph) assert.equal(end % 4, 0, what);
        position = end;
      }
    }
});

test("whatever keys and chunk, a row is alone only where llama.cpp's graph has one", () => {
  for (const kv of KV_TYPES)
    for (const chunkTokens of [8, 32, 127, 192])
      for (let prompt = 1; prompt <= 1100; prompt++) {
        const chunks = chunksOf(prompt, chunkTokens, kv);
        const what = `${kv} ${prompt} by ${chunkTokens}: ${chunks.join(" ")}`;
        assert.equal(sum(chunks), prompt, what);
        assert.ok(Math.max(...chunks) <= chunkTokens, what);
        assert.equal(chunks.includes(1), prompt % 512 === 1, what);
      }
});

test("no tokens, no chunks; chunks of a token", () => {
  assert.deepEqual(chunksOf(0, 192, "f16"), []);
  assert.deepEqual(chunksOf(3, 1, "f16"), [1, 1, 1]);
  assert.deepEqual(chunksOf(3, 1, "bf16"), [1, 1, 1]);
});
