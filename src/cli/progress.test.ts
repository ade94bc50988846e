import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { within } from "../../test/support/network.ts";
import type { EventFields, ShoalEvent } from "../lib/index.ts";
import { ProgressBars } from "./progress.ts";

/** A terminal of 100 columns that keeps what it is told. */
function terminal(): {
  stream: NodeJS.WriteStream;
  text: () => string;
  /** Resolves when it was told that. */
  shows: (what: RegExp) => Promise<void>;
} {
  let text = "";
  const waiting = new Set<() => void>();
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      for (const look of waiting) look();
      done();
    },
  });
  Object.assign(stream, {
    isTTY: true,
    columns: 100,
    rows: 24,
    cursorTo: () => true,
    moveCursor: () => true,
    clearLine: () => true,
    clearScreenDown: () => true,
  });
  return {
    stream: stream as unknown as NodeJS.WriteStream,
    text: () => text,
    shows: (what) =>
      within(
        new Promise((resolve) => {
          const look = (): void => {
            if (what.test(text)) resolve();
          };
          waiting.add(look);
          look();
        }),
        `the terminal to show ${what.source}`,
      ),
  };
}

function event(fields: EventFields): ShoalEvent {
  return {
    timeMs: 0,
    level: "info",
    tag: "TORRENT",
    message: "layer.0: 50 %",
    fields,
  };
}

test("an event of progress is a bar with its name, share, speed and sources", async (t) => {
  const { stream, shows } = terminal();
  const bars = new ProgressBars(stream, { ascii: true });
  t.after(() => bars.stop());
  const fields = { what: "layer.0", rate: "5 MB/s", sources: 3 };
  assert.ok(bars.take(event({ ...fields, fraction: 0.25 })));
  bars.take(event({ ...fields, fraction: 0.5 }));
  bars.write("a line of the log\n");
  await shows(/#{12}\.{12} 50 % {2}layer\.0 {2}5 MB\/s, 3 sources/);
  await shows(/a line of the log\n/);
});

test("what is no progress, or one bar too many, is left to the log", (t) => {
  const { stream } = terminal();
  const bars = new ProgressBars(stream);
  t.after(() => bars.stop());
  assert.equal(bars.take(event({ what: "layer.0" })), false);
  assert.equal(bars.take(event({ fraction: 0.5 })), false);
  const taken = Array.from({ length: 8 }, (_, i) =>
    bars.take(event({ what: `layer.${i}`, fraction: 0.1 })),
  );
  assert.equal(taken.filter((each) => each).length, 6);
  // One is done: there is room for another.
  bars.take(event({ what: "layer.0", fraction: 1 }));
  assert.equal(bars.take(event({ what: "layer.7", fraction: 0.1 })), true);
});

test("bars that nobody moves any more go, and lines are written as they are", (t) => {
  const { stream, text } = terminal();
  let nowMs = 0;
  const bars = new ProgressBars(stream, { now: () => nowMs });
  t.after(() => bars.stop());
  for (let i = 0; i < 6; i++)
    bars.take(event({ what: `layer.${i}`, fraction: 0.1 }));
  nowMs = 13_000;
  bars.write("a line\n");
  assert.ok(text().endsWith("a line\n"));
  assert.ok(bars.take(event({ what: "layer.7", fraction: 0.1 })));
});
