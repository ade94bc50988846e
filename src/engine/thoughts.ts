/**
 * Ends what a model thinks after so many tokens, as llama-server's reasoning budget does: then the text that ends it comes instead of what the
 * model would draw. It depends on nothing but the tokens so far, so a session that goes on elsewhere ends it at the same place.
 *
 *     const thoughts = new Thoughts({ most: 100, close: "</think>", end: [151668] });
 *     const token = thoughts.forced ?? draw();
 *     thoughts.accept(bytesOf(token));
 */
import type { ThoughtLimit } from "./sampling.ts";

/** Text here has a character for each byte: a token may end within one. */
const OF_BYTES = "latin1";
/** The longest UTF-8 sequence. */
const MAX_CHARACTER_BYTES = 4;

export class Thoughts {
  readonly #limit: ThoughtLimit;
  readonly #open: string;
  readonly #close: string;
  #phase: "before" | "within" | "ending" | "over";
  /** Before: all text; within: as much of its end as may begin the mark. */
  #text = "";
  /** Within: the tokens so far; ending: those of the mark. */
  #count = 0;

  constructor(limit: ThoughtLimit) {
    const { open = "", close } = limit;
    this.#limit = limit;
    this.#open = Buffer.from(open).toString(OF_BYTES);
    this.#close = Buffer.from(close).toString(OF_BYTES);
    this.#phase = open === "" ? "within" : "before";
    if (open === "") this.#endIfFull();
  }

  /** The token that must come next. */
  get forced(): number | undefined {
    return this.#phase === "ending" ? this.#limit.end[this.#count] : undefined;
  }

  /** The text of the token that came. */
  accept(bytes: Uint8Array): void {
    if (this.#phase === "over") return;
    this.#text += Buffer.from(bytes).toString(OF_BYTES);
    this.#count++;
    if (this.#phase === "before") this.#begin();
    else if (this.#phase === "within") this.#goOn();
    else if (this.#count === this.#limit.end.length) this.#phase = "over";
  }

  /** Only a reply's beginning opens it: later the mark is but text. */
  #begin(): void {
    const text = this.#text.trimStart();
    if (text.startsWith(this.#open)) {
      this.#phase = "within";
      this.#text = text.slice(this.#open.length);
      this.#count = 0;
      this.#goOn();
    } else if (!this.#open.startsWith(text)) this.#phase = "over";
  }

  #goOn(): void {
    if (this.#text.includes(this.#close)) {
      this.#phase = "over";
      return;
    }
    const kept = Math.max(this.#close.length, MAX_CHARACTER_BYTES);
    this.#text = this.#text.slice(-kept);
    this.#endIfFull();
  }

  #endIfFull(): void {
    if (this.#count < this.#limit.most || !endsWhole(this.#text)) return;
    this.#phase = "ending";
    this.#count = 0;
  }
}

/** Whether its last character has all its bytes. */
function endsWhole(text: string): boolean {
  for (let back = 1; back <= MAX_CHARACTER_BYTES; back++) {
    const byte = text.charCodeAt(text.length - back);
    if (!(byte >= 0x80)) return true;
    if (byte >= 0xc0) return back >= (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2);
  }
  return true;
}
