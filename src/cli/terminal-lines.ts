/**
 * Lines that somebody writes in a terminal, with node:readline's editing and a history of this run. Between two reads the terminal is as the
 * shell left it, so that Ctrl-C is a signal then. What is pasted or typed ahead waits for the next read.
 */
import { createInterface, type Interface } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";

/** As many as a shell keeps. */
const HISTORY_LINES = 1_000;

export class TerminalLines implements Disposable {
  readonly #input: ReadStream;
  readonly #rl: Interface;
  #lines: string[] = [];
  #isOver = false;
  #told = (): void => {};

  /** Both are terminals. */
  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input;
    this.#rl = createInterface({
      input,
      output,
      terminal: true,
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
    });
    this.#rl.on("line", (line) => {
      this.#lines.push(line);
      this.#told();
    });
    this.#rl.on("close", () => {
      this.#isOver = true;
      this.#told();
    });
    // A line that was begun goes; on an empty one it is the end.
    this.#rl.on("SIGINT", () => {
      if (this.#rl.line === "") {
        this.close();
        return;
      }
      for (const name of ["e", "u"]) this.#rl.write(null, { ctrl: true, name });
    });
    this.#rest();
  }

  /** Undefined at the end: Ctrl-D, or Ctrl-C on an empty line. */
  async read(prompt: string): Promise<string | undefined> {
    if (this.#lines.length === 0 && !this.#isOver) {
      this.#input.setRawMode(true);
      this.#rl.setPrompt(prompt);
      // What was begun stays.
      this.#rl.prompt(true);
      await new Promise<void>((resolve) => (this.#told = resolve));
      this.#told = () => {};
      // All that was pasted comes in the same instant.
      await new Promise((resolve) => setImmediate(resolve));
      if (!this.#isOver) this.#rest();
    }
    return this.#lines.shift();
  }

  /** The lines that came with the last one. */
  pending(): string[] {
    return this.#lines.splice(0);
  }

  /** A line was begun, and not ended. */
  get isBegun(): boolean {
    return !this.#isOver && this.#rl.line !== "";
  }

  close(): void {
    if (!this.#isOver) this.#rl.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #rest(): void {
    this.#rl.pause();
    this.#input.setRawMode(false);
  }
}
