import type { ReplyDelta, ReplyReader } from "./reply.ts";

/** Of what may be a call or not: it is looked at again with each new text. Arguments are held back only if they come before the name. */
const MAX_HELD_CHARS = 64 * 1024;

/** Yields where it needs more text. */
export type Reads<T = void> = Generator<undefined, T, undefined>;

/**
 * A reply's text as it comes, and the deltas made of it. Who reads is a generator that yields until there is more, so it reads as if the
 * whole text were there: how the text was cut can not matter.
 */
export class Reading {
  #text = "";
  #at = 0;
  /** What to go back to, if what began there is not what it seemed. */
  #marks: number[] = [];
  #ended = false;
  #deltas: ReplyDelta[] = [];

  get ended(): boolean {
    return this.#ended;
  }

  /** The text that has come and was not read. */
  get rest(): string {
    return this.#text.slice(this.#at);
  }

  append(text: string): void {
    const from = this.#marks[0] ?? this.#at;
    this.#text = this.#text.slice(from) + text;
    this.#at -= from;
    this.#marks = this.#marks.map((mark) => mark - from);
  }

  finish(): void {
    this.#ended = true;
  }

  takeDeltas(): ReplyDelta[] {
    const deltas = this.#deltas;
    this.#deltas = [];
    return deltas;
  }

  write(delta: ReplyDelta): void {
    const last = this.#deltas.at(-1);
    if (delta.kind === "call" || last === undefined || !joins(last, delta)) {
      this.#deltas.push(delta);
    } else {
      const text = last.text + delta.text;
      this.#deltas[this.#deltas.length - 1] = { ...last, text };
    }
  }

  take(length: number): string {
    const text = this.#text.slice(this.#at, this.#at + length);
    this.#at += text.length;
    return text;
  }

  mark(): void {
    this.#marks.push(this.#at);
  }

  goBack(): void {
    this.#at = this.#marks.pop() ?? this.#at;
  }

  /** All that was read stays read. */
  commit(): void {
    this.#marks = [];
  }

  /** More text than `known` characters; false: it has ended, or too much of it is held back. */
  *more(known: number): Reads<boolean> {
    while (this.#text.length - this.#at <= known) {
      const held = this.#text.length - (this.#marks[0] ?? this.#text.length);
      if (this.#ended || held > MAX_HELD_CHARS) return false;
      yield;
    }
    return true;
  }

  /** Reads `literal` if it is next. */
  *accept(literal: string): Reads<boolean> {
    while (true) {
      if (this.#text.startsWith(literal, this.#at)) {
        this.#at += literal.length;
        return true;
      }
      const have = this.#text.length - this.#at;
      if (have >= literal.length || !literal.startsWith(this.rest))
        return false;
      if (!(yield* this.more(have))) return false;
    }
  }

  /** Reads white space and `literal`, or nothing. */
  *acceptNext(literal: string): Reads<boolean> {
    this.mark();
    yield* this.space();
    const isNext = yield* this.accept(literal);
    if (isNext) this.#marks.pop();
    else this.goBack();
    return isNext;
  }

  /** The first of them that is next. One that begins another must come after it. */
  *acceptOne(literals: readonly string[]): Reads<string | undefined> {
    for (const literal of literals) {
      if (yield* this.accept(literal)) return literal;
    }
    return undefined;
  }

  /** Reads white space, and returns it. */
  *space(): Reads<string> {
    let length = 0;
    while (yield* this.more(length)) {
      if (!isSpace(this.#text.charAt(this.#at + length))) break;
      length++;
    }
    return this.take(length);
  }

  /**
   * Reads up to the first of `ends`, which is not read, and gives `write` what is before it as soon as that is certain. With `trim`, the
   * white space before an end is not read either. Undefined: none came, and all was read.
   */
  *until(
    ends: readonly string[],
    write: (text: string) => void,
    { trim = false }: { trim?: boolean } = {},
  ): Reads<string | undefined> {
    while (true) {
      const rest = this.rest;
      const found = firstOf(rest, ends);
      // What may become an end that begins no later is waited for.
      const kept = this.#ended ? 0 : beginning(rest, ends);
      const isFound =
        found !== undefined && (kept === 0 || rest.length - kept > found.at);
      const certain = rest.slice(0, isFound ? found.at : rest.length - kept);
      const isLast = this.#ended && !isFound;
      const spaced = trim && !isLast ? withoutLastSpace(certain) : certain;
      // Half a character waits for its other half.
      const isHalf = !isFound && !isLast && /[\ud800-\udbff]$/.test(spaced);
      const shown = isHalf ? spaced.slice(0, -1) : spaced;
      if (shown !== "") write(this.take(shown.length));
      if (isFound) return found.end;
      if (isLast) return undefined;
      yield* this.more(rest.length - shown.length);
    }
  }
}

/** What a generator reads, as a reader. */
export function readerOf(read: (reading: Reading) => Reads): ReplyReader {
  const reading = new Reading();
  const reads = read(reading);
  const go = (): ReplyDelta[] => {
    reads.next();
    return reading.takeDeltas();
  };
  return {
    push: (text) => {
      reading.append(text);
      return go();
    },
    end: () => {
      reading.finish();
      return go();
    },
  };
}

/** More white space in a row is given at once: what is held back is looked at again with each new text. */
const MAX_SPACE_CHARS = 4096;

function withoutLastSpace(text: string): string {
  const shown = text.trimEnd();
  return text.length - shown.length > MAX_SPACE_CHARS ? text : shown;
}

const isSpace = (character: string): boolean => /\s/.test(character);

type TextDelta = Exclude<ReplyDelta, { kind: "call" }>;

function joins(last: ReplyDelta, next: TextDelta): last is TextDelta {
  if (last.kind !== next.kind) return false;
  return (
    last.kind !== "arguments" || last.index === (next as typeof last).index
  );
}

/** The first, and of those that begin there the longest. */
function firstOf(
  text: string,
  ends: readonly string[],
): { end: string; at: number } | undefined {
  let best: { end: string; at: number } | undefined;
  for (const end of ends) {
    const at = text.indexOf(end);
    if (at < 0) continue;
    const isBetter =
      best === undefined ||
      at < best.at ||
      (at === best.at && end.length > best.end.length);
    if (isBetter) best = { end, at };
  }
  return best;
}

/** Length of the longest end of the text that begins one of them. */
function beginning(text: string, ends: readonly string[]): number {
  let longest = 0;
  for (const end of ends) {
    for (
      let length = Math.min(end.length - 1, text.length);
      length > longest;
      length--
    ) {
      if (text.endsWith(end.slice(0, length))) longest = length;
    }
  }
  return longest;
}
