/**
 * Standard output and standard error. No other file of the commands writes to them, because names and messages of strangers are among
 * what is written: here they become printable.
 *
 * Both can fail at any time: the reader of a pipe ends, a terminal is closed, a disk is full. For a command that prints an answer this is
 * the end; a role goes on without its log.
 */
import type { Writable } from "node:stream";
import { getSystemErrorMessage } from "node:util";
import {
  paint,
  paintSigns,
  printable,
  printableJson,
  printableText,
  ShoalError,
  showsColors,
  toAscii,
} from "../lib/index.ts";

type Failed = (error: ShoalError) => void;

/** Set once, before anything is written: `end` is called when standard output fails. A failing standard error is never fatal. */
export function guardOutput(end: Failed): void {
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners("error");
  process.stdout.on("error", (error) => end(outputError(error)));
  process.stderr.on("error", () => {});
}

/** From now on `instead` is called, once, and the program goes on. Later lines are tried anew: a disk may have room again. */
export function outliveOutput(instead: Failed): void {
  process.stdout.removeAllListeners("error");
  process.stdout.once("error", (error) => instead(outputError(error)));
  process.stdout.on("error", () => {});
}

/** A log that nobody reads waits in memory: a few thousand lines. */
const UNREAD_BYTES = 1024 * 1024;

/** Writes lines as long as somebody reads them; then `onDropped` is told how many were not written, once they are read again. */
export function lineWriter(
  stream: Pick<Writable, "write" | "writableLength" | "on">,
  onDropped: (lines: number) => void,
): (line: string) => void {
  let dropped = 0;
  stream.on("drain", () => {
    const lines = dropped;
    dropped = 0;
    if (lines > 0) onDropped(lines);
  });
  return (line) => {
    if (stream.writableLength > UNREAD_BYTES) dropped++;
    else stream.write(line);
  };
}

/** The answer of a command, for programs. */
export async function printJson(value: object, indent?: number): Promise<void> {
  await printAsIs(printableJson(value, indent));
}

/** Part of a reply, as it comes. A pipe gets it as it is, a terminal without what would command it; dimmed where it has colours. */
export function printReplyText(text: string, { dim = false } = {}): void {
  const { stdout } = process;
  const shown = stdout.isTTY ? printableText(text) : text;
  stdout.write(dim && showsColors(stdout) ? paint("dim", shown) : shown);
}

/** Lines beside the answer, on standard error. */
export function tell(...lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${printable(line)}\n`).join(""));
}

/** For text that is printable. Resolves once `text` and a line break are written. Where they cannot be, it never does: what `guardOutput` was given ends the program. */
export function printAsIs(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(`${text}\n`, (error) => {
      if (!error) resolve();
    });
  });
}

/** Lines for people. Names in them may be a stranger's: nothing in them commands the terminal. */
export async function printLines(
  lines: readonly string[],
  { ascii, color = false }: { ascii: boolean; color?: boolean },
): Promise<void> {
  if (lines.length === 0) return;
  const shown = lines.map((line) => {
    const text = color ? paintSigns(printable(line)) : printable(line);
    return ascii ? toAscii(text) : text;
  });
  await printAsIs(shown.join("\n"));
}

function outputError(error: NodeJS.ErrnoException): ShoalError {
  const { code, errno } = error;
  if (code === "EPIPE" || (code === "EIO" && process.stdout.isTTY))
    return new ShoalError(
      "OUTPUT_CLOSED",
      "standard output is closed",
      {},
      error,
    );
  const why =
    errno === undefined ? error.message : getSystemErrorMessage(errno);
  return new ShoalError(
    code === "ENOSPC" || code === "EDQUOT" ? "DISK_FULL" : "FILE_UNWRITABLE",
    `cannot write to standard output: ${why}`,
    {},
    error,
  );
}
