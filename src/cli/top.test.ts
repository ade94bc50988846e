import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import type { NodeStatus } from "../status/index.ts";
import { createDiagnostics } from "../diagnostics/index.ts";
import { Events, ShoalError } from "../lib/index.ts";
import { shoal } from "../../test/support/cli.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { statusOf } from "../../test/support/status.ts";
import { showTop, type TopOptions } from "./top.ts";
import { repaint, topLines } from "./top-screen.ts";

/** A terminal that keeps what is written. */
class Terminal extends EventEmitter {
  isTTY = true as const;
  columns = 100;
  rows = 40;
  text = "";
  raw: boolean[] = [];
  write(text: string): boolean {
    this.text += text;
    this.emit("written");
    return true;
  }
  setRawMode(on: boolean): void {
    this.raw.push(on);
  }
  resume(): void {}
  pause(): void {}
  async shows(text: string): Promise<void> {
    const signal = AbortSignal.timeout(60_000);
    while (!this.text.includes(text)) await once(this, "written", { signal });
  }
}

function start(ask: () => Promise<NodeStatus>): {
  terminal: Terminal;
  done: Promise<void>;
} {
  const terminal = new Terminal();
  const stream = terminal as unknown as TopOptions["input"] &
    TopOptions["output"];
  const signal = new AbortController().signal;
  const done = showTop({
    ask,
    input: stream,
    output: stream,
    intervalMs: 5,
    live: true,
    signal,
  });
  return { terminal, done };
}

function withTokens(tokens: number, nowMs: number): NodeStatus {
  return {
    ...statusOf(2, 2, nowMs),
    startedMs: 1,
    sessions: { active: 0, max: 4, total: 1, failed: 0, tokens, recent: [] },
  };
}

test("rates are what grew between two answers; unknown is a dash", () => {
  const [first, second] = [withTokens(10, 10_000), withTokens(40, 12_000)];
  second.process.cpuSeconds = first.process.cpuSeconds + 0.5;
  assert.match(
    topLines(first, undefined, undefined)[1]!,
    /^tokens -\/s {3}up - {3}down - .*CPU - %/,
  );
  assert.match(
    topLines(second, first, undefined)[1]!,
    /^tokens 15\.0\/s .*CPU 25 % of a core$/,
  );
  assert.match(topLines(first, second, undefined)[1]!, /^tokens -\/s/);
});

test("a screen holds what fits, and says how much does not", () => {
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  const painted = repaint(lines, 10);
  assert.equal(painted.split("\r\n").length, 10);
  assert.match(painted, /… 21 lines more/);
});

test("q quits, and the terminal is as it was", async () => {
  const { terminal, done } = start(async () => withTokens(1, 10_000));
  await terminal.shows("friends");
  terminal.emit("data", Buffer.from("x"));
  terminal.emit("data", Buffer.from("q"));
  await done;
  assert.deepEqual(terminal.raw, [true, false]);
  assert.ok(terminal.text.startsWith("\u001B[?1049h"));
  assert.ok(terminal.text.endsWith("\u001B[?1049l"));
  assert.equal(terminal.listenerCount("data"), 0);
});

test("an answer that does not come is told of, and the next one mends it", async () => {
  let fails = true;
  const { terminal, done } = start(async () => {
    if (fails) throw new ShoalError("DIAL_FAILED", "nobody is there");
    return withTokens(1, 10_000);
  });
  await terminal.shows("nobody is there");
  fails = false;
  await terminal.shows("friends");
  terminal.emit("data", Buffer.from("\u0003"));
  await done;
});

test("into a pipe the program prints one state and ends", async (t) => {
  const diagnostics = createDiagnostics({
    host: "127.0.0.1",
    port: 0,
    events: new Events(),
  });
  t.after(() => diagnostics.stop());
  const { url } = await diagnostics.start(() => statusOf(3, 3));
  const home = await temporaryFolder(t);
  const run = await shoal(["top", "--url", url, "--home", home]);
  assert.equal(run.code, 0, run.stderr);
  assert.match(run.stdout, /^shoal top {2}\d\d:\d\d:\d\d UTC/);
  assert.match(run.stdout, /friends/);
  assert.ok(!run.stdout.includes("\u001B"));
  await diagnostics.stop();
  const none = await shoal(["top", "--url", url, "--home", home]);
  assert.equal(none.code, 69);
  assert.match(none.stderr, /^shoal: .* \([A-Z_]+\)\n$/);
});
