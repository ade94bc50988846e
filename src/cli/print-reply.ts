/**
 * A reply as it comes, and in a terminal what it waits for: a line below the text, which is gone when the text goes on. Text goes to standard output,
 * that line to standard error. What the model thinks before it replies is for a terminal only, dimmed.
 */
import { movesCursor, printable, toAscii } from "../lib/index.ts";
import { printReplyText } from "./output.ts";
import type { ChatListener } from "./stream-chat.ts";

/** However the reply ends, the terminal is on a new line afterwards. */
export async function printReply<T>(
  reply: (listener: ChatListener) => Promise<T>,
  { ascii }: { ascii: boolean },
): Promise<T> {
  const { stdout, stderr } = process;
  let last = "\n";
  let isThinking = false;
  const print = (text: string, how: { dim: boolean }): void => {
    line.show(undefined);
    printReplyText(text, how);
    last = text.at(-1) ?? last;
  };
  const line = new WaitingLine(stderr, {
    ascii,
    isBelow: () => stdout.isTTY && last !== "\n",
  });
  try {
    return await reply({
      onReasoning: (text) => {
        if (!stdout.isTTY) return;
        isThinking = true;
        print(text, { dim: true });
      },
      onText: (text) => {
        if (isThinking) print(last === "\n" ? "\n" : "\n\n", { dim: false });
        isThinking = false;
        print(text, { dim: false });
      },
      onWaiting: (what) => line.show(what),
    });
  } finally {
    line.show(undefined);
    if (last !== "\n") printReplyText("\n");
  }
}

/** VT100 (https://vt100.net/docs/vt100-ug/chapter3.html): a line further down, scrolling if need be; back up; keep the cursor; return to it. */
const DOWN = "\u001BD";
const UP = "\u001B[A";
const KEEP = "\u001B7";
const RETURN = "\u001B8";
const CLEAR = "\u001B[K";

export class WaitingLine {
  readonly #stream: NodeJS.WriteStream;
  readonly #ascii: boolean;
  readonly #isBelow: () => boolean;
  #shown: { what: string; below: boolean } | undefined;

  /** `isBelow` says whether the cursor's own line has text that stays. */
  constructor(
    stream: NodeJS.WriteStream,
    { ascii, isBelow }: { ascii: boolean; isBelow: () => boolean },
  ) {
    this.#stream = stream;
    this.#ascii = ascii;
    this.#isBelow = isBelow;
  }

  show(what: string | undefined): void {
    if (!movesCursor(this.#stream) || what === this.#shown?.what) return;
    if (this.#shown !== undefined) this.#write(this.#shown.below, "");
    this.#shown = undefined;
    if (what === undefined) return;
    const below = this.#isBelow();
    // There is room for it before the cursor's place is kept.
    if (below) this.#stream.write(DOWN + UP);
    this.#write(below, this.#fitting(`waiting for ${what}…`));
    this.#shown = { what, below };
  }

  #write(below: boolean, text: string): void {
    this.#stream.write(
      below ? `${KEEP}${DOWN}\r${CLEAR}${text}${RETURN}` : `\r${CLEAR}${text}`,
    );
  }

  #fitting(text: string): string {
    const shown = printable(this.#ascii ? toAscii(text) : text);
    return shown.slice(0, Math.max(0, (this.#stream.columns || 80) - 1));
  }
}
