/** What a session may take over: the beginning that both have, where every row was computed as it would be without. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { chunksOf, GRAPH_TOKENS, REPACKED_ROWS, TILE_ROWS } from "./chunks.ts";
import {
  type KeptTokens,
  type KnownTokens,
  PREFIX_BLOCK,
  type PrefixRules,
  usablePrefix,
} from "./prefix-rules.ts";

const F16: PrefixRules = { kv: "f16", anyBits: false, sameRows: true };
const BF16: PrefixRules = { kv: "bf16", anyBits: false, sameRows: true };
const BF16_ROWS: PrefixRules = { ...BF16, sameRows: false };
const FAST: PrefixRules = { ...F16, anyBits: true };

/** A prompt of so many tokens, and so many after it; the same seed is the same text. */
function said(promptTokens: number, more = 0, seed = 7): KnownTokens {
  const tokens = Int32Array.from(
    { length: promptTokens + more },
    (_, i) => (i * seed) % 1000,
  );
  return { tokens, promptTokens };
}

function kept(known: KnownTokens, earliest = 0): KeptTokens {
  return { ...known, earliest };
}

test("the same session goes on after its last token but one", () => {
  const known = said(100, 20);
  assert.equal(usablePrefix(kept(known), known, F16), 119);
  const more = said(100, 50);
  assert.equal(usablePrefix(kept(known), more, F16), 120);
});

test("another reply to the same prompt goes on in the prompt", () => {
  const first = kept(said(1000, 30));
  assert.equal(usablePrefix(first, said(1000), F16), 896);
  assert.equal(usablePrefix(first, said(1000), BF16), 960);
});

test("with f16 keys a reply's rows are no prompt's, otherwise they are where the stage has seen it", () => {
  const turn = kept(said(600, 300));
  const next = said(1000);
  assert.equal(usablePrefix(turn, next, F16), 576);
  assert.equal(usablePrefix(turn, next, BF16), 896);
  assert.equal(usablePrefix(turn, next, BF16_ROWS), 576);
  assert.equal(usablePrefix(turn, next, FAST), 896);
});

test("a prompt's short tail is computed otherwise in a longer prompt", () => {
  assert.equal(usablePrefix(kept(said(512 + 40)), said(2000), F16), 512);
  assert.equal(usablePrefix(kept(said(40)), said(2000), F16), 0);
  assert.equal(usablePrefix(kept(said(1000)), said(512 + 40), F16), 512);
});

test("what differs is not taken over", () => {
  const other = said(1000, 0, 11);
  assert.equal(usablePrefix(kept(said(1000)), other, FAST), 0);
  const late = said(1000);
  late.tokens[700] = -1;
  assert.equal(usablePrefix(kept(said(1000)), late, F16), 640);
});

test("a sequence that can not go back is gone on from its end or not at all", () => {
  const known = said(100, 20);
  assert.equal(usablePrefix(kept(known, 120), said(100, 30), F16), 120);
  assert.equal(usablePrefix(kept(known, 120), known, F16), 0);
  assert.equal(usablePrefix(kept(said(1000), 1000), said(1500), F16), 0);
  assert.equal(usablePrefix(kept(said(1000), 900), said(1500), F16), 960);
});

test("whatever is taken over: the rows are those of the prompt alone, and the rest can be cut", () => {
  const lengths = fc.integer({ min: 1, max: 2_200 });
  fc.assert(
    fc.property(
      lengths,
      lengths,
      fc.integer({ min: 0, max: 300 }),
      fc.constantFrom(127, 128, 192),
      (prompt, wanted, more, chunk) => {
        const at = usablePrefix(kept(said(prompt, more)), said(wanted), F16);
        if (prompt === wanted && at >= prompt) return;
        assert.ok(at < wanted && at <= prompt && at % PREFIX_BLOCK === 0);
        // How each row is computed: in tiles, or with so many beside it.
        const kinds = (tokens: number, borders: number[]): string[] =>
          chunksOf(tokens, chunk, "f16", borders).flatMap((rows) =>
            Array.from({ length: rows }, (_, i) =>
              rows < TILE_ROWS
                ? `alone with ${rows}`
                : i < rows - (rows % REPACKED_ROWS)
                  ? "tiled"
                  : "left over",
            ),
          );
        const cold = kinds(wanted, []);
        assert.deepEqual(kinds(wanted, [at]).slice(at), cold.slice(at));
        assert.deepEqual(kinds(prompt, []).slice(0, at), cold.slice(0, at));
        assert.ok(GRAPH_TOKENS % PREFIX_BLOCK === 0);
      },
    ),
    { numRuns: 2_000 },
  );
});
