import assert from "node:assert/strict";
import { test } from "node:test";
import type { ThoughtLimit } from "./sampling.ts";
import { Thoughts } from "./thoughts.ts";

const END = [900, 901];
const MARKS = { open: "<think>", close: "</think>", end: END };
/** A forced token, by its text. */
const FORCED: Readonly<Record<number, string>> = { 900: "</thi", 901: "nk>" };

/** What comes of a model that would write these pieces: each is a token, which a forced one replaces. */
function written(
  limit: Partial<ThoughtLimit>,
  pieces: readonly (string | Uint8Array)[],
): string[] {
  const thoughts = new Thoughts({ most: 3, ...MARKS, ...limit });
  const left = [...pieces];
  const came: string[] = [];
  for (;;) {
    const { forced } = thoughts;
    const piece = forced === undefined ? left.shift() : FORCED[forced];
    if (piece === undefined) return came;
    thoughts.accept(Buffer.from(piece));
    const text = Buffer.from(piece).toString();
    came.push(forced === undefined ? text : `!${text}`);
  }
}

const ended = ["!</thi", "!nk>"];
const CASES: readonly [
  what: string,
  limit: Partial<ThoughtLimit>,
  pieces: readonly (string | Uint8Array)[],
  came: readonly string[],
][] = [
  [
    "the prompt opened it",
    { open: undefined },
    ["a", "b", "c", "x", "y"],
    ["a", "b", "c", ...ended, "x", "y"],
  ],
  [
    "the model opens it, in pieces",
    {},
    ["\n<th", "ink>", "a", "b", "c", "x"],
    ["\n<th", "ink>", "a", "b", "c", ...ended, "x"],
  ],
  [
    "the model ends it in time",
    {},
    ["<think>", "a", "b</th", "ink>", "c", "d", "e", "f"],
    ["<think>", "a", "b</th", "ink>", "c", "d", "e", "f"],
  ],
  [
    "the model does not think, and writes the mark later",
    {},
    ["So", "<think>", "a", "b", "c", "d"],
    ["So", "<think>", "a", "b", "c", "d"],
  ],
  [
    "nothing may be thought",
    { open: undefined, most: 0 },
    ["x"],
    [...ended, "x"],
  ],
  [
    "a character is not cut",
    { open: undefined, most: 1 },
    [Uint8Array.of(0xc3), Uint8Array.of(0xa9), "x"],
    ["\ufffd", "\ufffd", ...ended, "x"],
  ],
];

for (const [what, limit, pieces, came] of CASES)
  test(`thoughts are ended: ${what}`, () => {
    assert.deepEqual(written(limit, pieces), came);
  });
