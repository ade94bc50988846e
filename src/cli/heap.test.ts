/** Run as a program, with a variable set, this file makes many objects and says how much room V8 gave them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { boundHeap, YOUNG_BYTES, youngBytes } from "./heap.ts";

const mode = process.env["YOUNG_GENERATION"];
if (mode === undefined) {
  test("new objects of a busy process get the room that they are allowed", async () => {
    const bounded = await mostBytes("bounded");
    // The collection that finds it full may double it once more.
    assert.ok(bounded <= 2 * YOUNG_BYTES, `${bounded} bytes`);
    const free = await mostBytes("free");
    assert.ok(free > 2 * YOUNG_BYTES, `${free} bytes without a bound`);
  });
} else {
  if (mode === "bounded") boundHeap();
  let kept: unknown[] = [];
  let most = 0;
  for (let i = 0; i < 3_000_000; i++) {
    kept.push({ i, of: [i] });
    if (kept.length > 120_000) kept = kept.slice(60_000);
    if (i % 5_000 > 0) continue;
    await turn();
    most = Math.max(most, youngBytes());
  }
  process.stdout.write(String(most));
}

async function mostBytes(how: string): Promise<number> {
  const args = [import.meta.filename];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { PATH: process.env["PATH"], YOUNG_GENERATION: how },
  });
  return Number(stdout);
}
