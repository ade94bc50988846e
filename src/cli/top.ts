/** `shoal top`: the state of a role, live in the terminal, from the API of its page. */
import { Command } from "commander";
import type { NodeStatus } from "../status/index.ts";
import { DIAGNOSTICS_DEFAULTS, askUrl } from "../diagnostics/index.ts";
import { movesCursor, showsColors, ShoalError, sleep } from "../lib/index.ts";
import { common, examples, option } from "./options.ts";
import { printJson } from "./output.ts";
import { stopSignal } from "./run-role.ts";
import {
  ENTER_SCREEN,
  LEAVE_SCREEN,
  type Lost,
  repaint,
  topLines,
} from "./top-screen.ts";
import { url, wholeNumber } from "./values.ts";

const LOCAL = `http://127.0.0.1:${DIAGNOSTICS_DEFAULTS.port}`;
/** Of one answer: a status is small, and the next one is asked for soon. */
const TIMEOUT_MS = 5_000;
/** Less cannot be read. */
const MIN_COLUMNS = 20;

interface TopFlags {
  url: string;
  interval: number;
  json?: boolean;
}

export function topCommand(): Command {
  const command = new Command("top")
    .description("live status of a role; prints once when piped")
    .optionsGroup("Status options:")
    .addOption(
      option(
        "--url <url>",
        "page of the role",
        (text) => url(text).href,
      ).default(LOCAL),
    )
    .addOption(
      option(
        "--interval <s>",
        "seconds between two updates",
        wholeNumber(1, 3600),
      ).default(2),
    )
    .addOption(option("--json", "print the status once, as JSON"));
  return examples(
    command,
    "shoal top",
    "shoal top --url 127.0.0.1:51823",
  ).action(async (_, self: Command) => {
    const { url, interval, json } = self.opts<TopFlags>();
    const signal = stopSignal();
    const ask = async (): Promise<NodeStatus> => {
      const { node } = await askUrl({ url, timeoutMs: TIMEOUT_MS, signal });
      if (node === null)
        throw new ShoalError("INTERNAL", "the page shows no process");
      return node;
    };
    if (json === true) {
      await printJson(await ask());
      return;
    }
    await showTop({
      ask,
      input: process.stdin,
      output: process.stdout,
      intervalMs: interval * 1000,
      ascii: common(self).ascii,
      color: showsColors(process.stdout),
      live: movesCursor(process.stdout),
      signal,
    });
  });
}

export interface TopOptions {
  ask: () => Promise<NodeStatus>;
  input: Pick<
    NodeJS.ReadStream,
    "isTTY" | "on" | "off" | "setRawMode" | "resume" | "pause"
  >;
  output: Pick<NodeJS.WriteStream, "columns" | "rows" | "write" | "on" | "off">;
  intervalMs: number;
  ascii?: boolean | undefined;
  color?: boolean | undefined;
  /** Over and over on a screen of its own; else once. */
  live: boolean;
  signal: AbortSignal;
}

/** Resolves once someone quits; unless it is live it writes the status once. Rejects only then. */
export async function showTop(options: TopOptions): Promise<void> {
  const { ask, output, ascii, color, live } = options;
  if (!live) {
    const shown = { ascii, color };
    const lines = topLines(await ask(), undefined, undefined, shown);
    output.write(`${lines.join("\n")}\n`);
    return;
  }
  let [now, before]: (NodeStatus | undefined)[] = [];
  let lost: (Lost & { sinceMs: number }) | undefined;
  const paint = (): void => {
    const { columns, rows } = output;
    const shown = { ascii, color, width: Math.max(columns, MIN_COLUMNS) };
    output.write(repaint(topLines(now, before, lost, shown), rows));
  };
  await onScreen(options, paint, async () => {
    try {
      const next = await ask();
      // Another process at the same place: its counts are not the last one's.
      before = now?.startedMs === next.startedMs ? now : undefined;
      now = next;
      lost = undefined;
    } catch (error) {
      const sinceMs = lost?.sinceMs ?? performance.now();
      const seconds = Math.round((performance.now() - sinceMs) / 1000);
      lost = { sinceMs, seconds, why: ShoalError.from(error).message };
    }
  });
}

/** Looks and paints again and again, until q, Escape, Ctrl-C or the signal; the terminal is then as it was. */
async function onScreen(
  { input, output, intervalMs, signal }: TopOptions,
  paint: () => void,
  look: () => Promise<void>,
): Promise<void> {
  const quit = new AbortController();
  const onKey = (data: Buffer): void => {
    // In raw mode Ctrl-C is a byte like any other.
    if (["q", "Q", "\u0003", "\u001B"].includes(data.toString())) quit.abort();
  };
  const until = AbortSignal.any([quit.signal, signal]);
  output.write(ENTER_SCREEN);
  if (input.isTTY) input.setRawMode(true);
  input.on("data", onKey).resume();
  output.on("resize", paint);
  try {
    paint();
    while (!until.aborted) {
      await Promise.race([look(), whenAborted(until)]);
      if (until.aborted) break;
      paint();
      await sleep(intervalMs, until).catch(() => {});
    }
  } finally {
    input.off("data", onKey);
    output.off("resize", paint);
    if (input.isTTY) input.setRawMode(false);
    input.pause();
    output.write(LEAVE_SCREEN);
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
