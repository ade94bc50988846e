import type { ReplyDelta, ReplyReader } from "./reply.ts";

/** Yields where it needs more text. */
export type Reads<T = void> = Generator<undefined, T, undefined>;

/**
 * A reply's text as it comes, and the deltas made of it. Who reads is a generator that yields until there is more, so it reads as if the
 * whole text were there: how the text was cut can not matter.
 */
export class Reading {
  #text = "";
  #at = 0;
  /** What to go back to, if what began here is not what it seemed. */
  #marked: number | undefined;
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
    const from = Math.min(this.#at, this.#marked ?? this.#at);
    this.#text = this.#text.slice(from) + text;
    this.#at -= from;
    if (this.#marked !== undefined) this.#marked -= from;
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
    this.#marked = this.#at;
  }

  /** What was read since the mark stays read. */
  commit(): void {
    this.#marked = undefined;
  }

  goBack(): void {
    this.#at = this.#marked ?? this.#at;
    this.#marked = undefined;
  }

  /** How much was read since the mark. */
  get sinceMark(): number {
    return this.#at - (this.#marked ?? this.#at);
  }

  /** More text than `known` characters, or the end: then false. */
  *more(known: number): Reads<boolean> {
    while (this.#text.length - this.#at <= known) {
      if (this.#ended) return false;
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
      if (!isSpace(this.#text[this.#at + length]!)) break;
      length++;
    }
    return this.take(length);
  }

  /**
   * Reads up to the first of `ends`, gives `write` what is before it as soon as that is certain, and reads the end too. With `trim`, white
   * space before an end is read but not given. Undefined: none came.
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
      if (
        found !== undefined &&
        (kept === 0 || rest.length - kept > found.at)
      ) {
        const before = rest.slice(0, found.at);
        give(write, trim ? before.trimEnd() : before);
        this.take(found.at + found.end.length);
        return found.end;
      }
      if (this.#ended) {
        give(write, this.take(rest.length));
        return undefined;
      }
      const certain = rest.slice(0, rest.length - kept);
      const shown = trim ? certain.trimEnd() : certain;
      give(write, this.take(shown.length));
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

const give = (write: (text: string) => void, text: string): void => {
  if (text !== "") write(text);
};

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
