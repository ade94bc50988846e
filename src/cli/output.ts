/**
 * Standard output and standard error, which can fail at any time: the reader of a pipe ends, a terminal is closed, a disk is full.
 * For a command that prints an answer this is the end; a role goes on without its log.
 */
import type { Writable } from "node:stream";
import { getSystemErrorMessage } from "node:util";
import { paintSigns, printable, ShoalError, toAscii } from "../lib/index.ts";

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

/** Resolves once `text` and a line break are written. Where they cannot be, it never does: what `guardOutput` was given ends the program. */
export function print(text: string): Promise<void> {
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
  await print(shown.join("\n"));
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
