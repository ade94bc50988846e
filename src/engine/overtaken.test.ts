import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "node:test";
import { Overtaken } from "./overtaken.ts";

test("a chunk waits while tokens do", () => {
  const sent: string[] = [];
  const overtaken = new Overtaken();
  overtaken.send(false);
  overtaken.add(() => sent.push("a"), 60_000);
  overtaken.send(true);
  assert.deepEqual([sent, overtaken.size], [[], 1]);
  overtaken.add(() => sent.push("b"), 60_000);
  overtaken.send(false);
  assert.deepEqual([sent, overtaken.size], [["a", "b"], 0]);
  overtaken.send(false);
  assert.deepEqual(sent, ["a", "b"]);
});

test("but not for longer than a quarter of its own time, however many tokens come", async () => {
  let sent = 0;
  const overtaken = new Overtaken();
  overtaken.add(() => sent++, 80);
  overtaken.send(true);
  assert.equal(sent, 0);
  await pause(25);
  overtaken.send(true);
  assert.equal(sent, 1);
});
