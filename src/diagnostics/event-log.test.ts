import assert from "node:assert/strict";
import { test } from "node:test";
import type { ShoalEvent } from "../lib/index.ts";
import { EventLog } from "./event-log.ts";
import { publicEvent, withoutPaths } from "./redact.ts";

function event(message: string, fields: ShoalEvent["fields"] = {}): ShoalEvent {
  return { timeMs: 1, level: "info", tag: "STATUS", message, fields };
}

function filled(size: number, count: number): EventLog {
  const log = new EventLog("run", size);
  for (let i = 1; i <= count; i++) log.push(event(`${i}`));
  return log;
}

test("a reader without an id gets all kept events, one with an id the events after it", () => {
  const log = filled(10, 5);
  assert.deepEqual(log.since(undefined), { afterSeq: 0, missed: 0 });
  assert.deepEqual(log.since("run-3"), { afterSeq: 3, missed: 0 });
  assert.equal(log.after(3)?.event.message, "4");
  assert.equal(log.after(5), undefined);
});

test("a reader that was away too long is told how many events it missed", () => {
  const log = filled(10, 25);
  assert.equal(log.oldest, 16);
  assert.deepEqual(log.since("run-5"), { afterSeq: 15, missed: 10 });
  assert.deepEqual(log.since("run-15"), { afterSeq: 15, missed: 0 });
  assert.equal(log.after(0)?.event.message, "16");
});

for (const [name, id] of [
  ["another run's", "other-3"],
  ["one of the future", "run-6"],
  ["no number", "run-x"],
  ["nothing of ours", "\u0000"],
] as const) {
  test(`an id that is ${name} means a gap of unknown size`, () => {
    assert.deepEqual(filled(10, 5).since(id), { afterSeq: 0, missed: null });
  });
}

for (const [text, shown] of [
  ["read /home/ann/models/a.gguf now", "read …/a.gguf now"],
  ["can not read '/etc/shoal/key'", "can not read '…/key'"],
  ["C:\\Users\\ann\\a.gguf is gone", "…/a.gguf is gone"],
  [
    "/ip4/10.0.0.7/udp/1/quic-v1/p2p/12D3",
    "/ip4/10.0.0.7/udp/1/quic-v1/p2p/12D3",
  ],
  ["/shoal/pipeline/1.0.0", "/shoal/pipeline/1.0.0"],
  ["/v1/chat/completions", "/v1/chat/completions"],
  ["1/4 of 3/4", "1/4 of 3/4"],
  ["http://127.0.0.1:51822/v1/models", "http://127.0.0.1:51822/v1/models"],
] as const) {
  test(`"${text}" is shown as "${shown}"`, () => {
    assert.equal(withoutPaths(text), shown);
  });
}

test("fields lose paths and stacks, and long texts are cut", () => {
  const { message, fields } = publicEvent(
    event("x".repeat(5_000), {
      path: "/home/ann/shard-0.gguf",
      stack: "Error\n at /home/ann/x.ts",
      layers: 4,
      list: ["/srv/models/b.gguf", 2],
    }),
  );
  assert.equal(message.length, 1_000);
  assert.deepEqual(fields, {
    path: "…/shard-0.gguf",
    layers: 4,
    list: ["…/b.gguf", 2],
  });
});
