/** Rows that a session sent on: all of them come back, from memory and from the file, also in a session that goes on from another one. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { SentRows, SentRowsMemory } from "./sent-rows.ts";

const ROW_BYTES = 16 * 1024;
const ROWS = 100;

/** Row i of a kind. */
function row(i: number, kind = 0): Uint8Array {
  return new Uint8Array(ROW_BYTES).fill((i * 31 + kind * 97) % 251);
}

function fill(rows: SentRows, from: number, to: number, kind = 0): void {
  for (let at = from; at < to;) {
    const count = Math.min(to - at, 1 + (at % 3));
    rows.add(
      Buffer.concat(Array.from({ length: count }, (_, i) => row(at + i, kind))),
    );
    at += count;
  }
}

function check(rows: SentRows, from: number, to: number, kind = 0): void {
  const into = new Uint8Array((to - from) * ROW_BYTES);
  rows.read(from, into);
  for (let i = from; i < to; i++)
    assert.ok(
      Buffer.from(into.subarray((i - from) * ROW_BYTES)).compare(
        row(i, kind),
        0,
        ROW_BYTES,
        0,
        ROW_BYTES,
      ) === 0,
      `row ${i}`,
    );
}

for (const [where, mostBytes] of [
  ["in memory", Infinity],
  ["in a file", 0],
  ["in both", 500_000],
] as const)
  test(`all rows come back ${where}`, async (t) => {
    const folder = await temporaryFolder(t);
    const memory = new SentRowsMemory(mostBytes, folder);
    using rows = new SentRows(memory, ROW_BYTES);
    fill(rows, 0, ROWS);
    assert.equal(rows.length, ROWS);
    check(rows, 0, ROWS);
    for (let at = 0; at + 7 <= ROWS; at += 5) check(rows, at, at + 7);
    assert.throws(
      () => rows.read(ROWS - 1, new Uint8Array(2 * ROW_BYTES)),
      RangeError,
    );
    assert.deepEqual(await readdir(folder), [], "no file has a name");
  });

test("a session that goes on from a position has the rows before, and writes its own", async (t) => {
  const folder = await temporaryFolder(t);
  const memory = new SentRowsMemory(500_000, folder);
  const first = new SentRows(memory, ROW_BYTES);
  fill(first, 0, ROWS);
  for (const at of [0, 1, 15, 16, 17, 63, 64, ROWS]) {
    using other = first.upTo(at);
    fill(other, at, ROWS + 20, 1);
    assert.equal(other.length, ROWS + 20);
    check(other, 0, at);
    check(other, at, ROWS + 20, 1);
  }
  const last = first.upTo(50);
  first[Symbol.dispose]();
  check(last, 0, 50);
  last[Symbol.dispose]();
  assert.equal(memory.bytes, 0, "all memory is given back");
});

test("without room nothing is claimed", () => {
  const rows = new SentRows(new SentRowsMemory(-1), ROW_BYTES);
  fill(rows, 0, ROWS);
  assert.equal(rows.length, 0);
});
