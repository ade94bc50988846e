/** When a grammar begins that waits for something to be written: after a word, after what a pattern describes, or with a token. */
import { setFlagsFromString } from "node:v8";
import { ShoalError } from "../../lib/index.ts";
import type { GrammarTrigger } from "../sampling.ts";

/**
 * Text that patterns look at. What was written before is forgotten then: a pattern that is to see a reply's beginning after so long does not
 * begin any more.
 */
const MAX_TEXT = 64 * 1024;

interface Written {
  token: number;
  /** Where its text begins and ends. */
  start: number;
  end: number;
}

/** Text here has a character for each byte, so that its places are those of the tokens. */
const ofBytes = "latin1";

export class Trigger {
  readonly #words: string[] = [];
  readonly #patterns: RegExp[] = [];
  readonly #tokens = new Set<number>();
  readonly #longestWord: number;
  #text = "";
  #written: Written[] = [];

  /** Throws GRAMMAR_INVALID for a pattern that is none, or that cannot be looked for in a time proportional to the text. */
  constructor(triggers: readonly GrammarTrigger[]) {
    for (const trigger of triggers) {
      if (trigger.kind === "token") this.#tokens.add(trigger.token);
      else if (trigger.kind === "word")
        this.#words.push(Buffer.from(trigger.text).toString(ofBytes));
      else this.#patterns.push(linearPattern(trigger.regex));
    }
    this.#longestWord = Math.max(0, ...this.#words.map(({ length }) => length));
  }

  /** What the grammar begins with, if it begins with this token: tokens, and of their texts the bytes that count. */
  push(
    token: number,
    bytes: Uint8Array,
  ): { token: number; bytes: Uint8Array }[] | undefined {
    if (this.#tokens.has(token)) return [{ token, bytes }];
    const before = this.#text.length;
    this.#text += Buffer.from(bytes).toString(ofBytes);
    this.#written.push({ token, start: before, end: this.#text.length });
    const start = this.#found(before);
    if (start === undefined) {
      if (this.#text.length > 2 * MAX_TEXT) this.#forget();
      return undefined;
    }
    return this.#written
      .filter(({ end }) => end > start)
      .map(({ token: one, start: from, end }) => ({
        token: one,
        bytes: Buffer.from(
          this.#text.slice(Math.max(from, start), end),
          ofBytes,
        ),
      }));
  }

  #found(before: number): number | undefined {
    const from = Math.max(0, before - this.#longestWord + 1);
    for (const word of this.#words) {
      const at = this.#text.indexOf(word, from);
      if (at >= 0) return at;
    }
    for (const pattern of this.#patterns) {
      const match = pattern.exec(this.#text);
      if (match === null) continue;
      // As in llama.cpp: from the first group that has something. Where it is has no better answer than where its text is first.
      const group = match.slice(1).find((text) => (text ?? "") !== "");
      return group === undefined
        ? match.index
        : this.#text.indexOf(group, match.index);
    }
    return undefined;
  }

  #forget(): void {
    const cut = this.#text.length - MAX_TEXT;
    this.#text = this.#text.slice(cut);
    this.#written = this.#written
      .filter(({ end }) => end > cut)
      .map(({ token, start, end }) => ({
        token,
        start: Math.max(0, start - cut),
        end: end - cut,
      }));
  }
}

/** V8's own flag: never goes back. */
const LINEAR = "l";

/** JavaScript goes on in linear time where a search goes back and forth too often, if the pattern can be run that way at all. */
function linearPattern(regex: string): RegExp {
  setFlagsFromString("--enable-experimental-regexp-engine");
  setFlagsFromString(
    "--enable-experimental-regexp-engine-on-excessive-backtracks",
  );
  const source = Buffer.from(regex).toString(ofBytes);
  try {
    const linear = new RegExp(source, LINEAR);
    return new RegExp(linear.source);
  } catch (error) {
    throw new ShoalError(
      "GRAMMAR_INVALID",
      "a trigger's pattern is no regular expression, or not one without lookarounds, back references and large repetitions",
      {},
      error,
    );
  }
}
