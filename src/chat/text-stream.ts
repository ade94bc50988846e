/**
 * Text from token bytes, as they arrive. A token may hold part of a character, and a stop string may span tokens, so text that cannot be
 * shown yet is held back. The text depends only on the bytes, never on how tokens cut them.
 *
 *     const text = new TextStream({ stop: ["\n\n"] });
 *     for await (const { token } of tokens) {
 *       show(text.push(tokenizer.piece(token)));
 *       if (text.stoppedBy !== undefined) break;
 *     }
 *     show(text.end());
 */

export interface TextStreamOptions {
  /** The text ends before the first complete one of these and does not contain it. None may be empty. */
  stop?: readonly string[];
}

export class TextStream {
  /** `fatal: false` turns invalid UTF-8 into U+FFFD; `ignoreBOM: true` keeps a U+FEFF that the model wrote. */
  #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #stop: readonly string[];
  /** Text that may be the beginning of a stop string. Shorter than the longest of them. */
  #held = "";
  #stoppedBy: string | undefined;

  constructor(options: TextStreamOptions = {}) {
    this.#stop = options.stop ?? [];
  }

  /** The stop string that ended the text. Nothing more comes out once it is set. */
  get stoppedBy(): string | undefined {
    return this.#stoppedBy;
  }

  /** The text that became certain with these bytes; often "". Never half a character: up to 3 bytes are held back. */
  push(bytes: Uint8Array): string {
    return this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The text still held back at the end. An unfinished character becomes U+FFFD. */
  end(): string {
    const text = this.#take(this.#decoder.decode()) + this.#held;
    this.#held = "";
    return text;
  }

  #take(decoded: string): string {
    if (this.#stoppedBy !== undefined) return "";
    const text = this.#held + decoded;
    const found = firstComplete(text, this.#stop);
    if (found !== undefined) {
      this.#stoppedBy = found.stop;
      this.#held = "";
      return text.slice(0, found.at);
    }
    const keep = longestBeginning(text, this.#stop);
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }
}

/**
 * The stop string that is complete first, and among those the one that begins first: what a reader of one character at a time would find.
 * "Begins first" alone would depend on how the tokens cut the text.
 */
function firstComplete(
  text: string,
  stops: readonly string[],
): { stop: string; at: number } | undefined {
  let best: { stop: string; at: number } | undefined;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at < 0) continue;
    const end = at + stop.length;
    const bestEnd = best === undefined ? Infinity : best.at + best.stop.length;
    if (end < bestEnd || (end === bestEnd && at < (best?.at ?? 0))) {
      best = { stop, at };
    }
  }
  return best;
}

/** Length of the longest end of `text` that begins a stop string. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    const most = Math.min(stop.length - 1, text.length);
    for (let length = most; length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
