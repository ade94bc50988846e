/** Runs a grammar without a model: whether it allows a text, and random texts that it allows. */
import {
  parseGbnf,
  type GbnfRule,
  type Sequence,
  type GbnfSymbol,
} from "../../src/grammar/gbnf-parser.ts";
import type { Random } from "./random.ts";

/** What is still to come: the rest of a sequence, then what comes after it. Equal ones are the same object. */
interface Continuation {
  id: number;
  sequence: Sequence;
  index: number;
  next: Continuation | undefined;
}

export class TextGrammar {
  #rules: Map<string, GbnfRule>;
  #continuations = new Map<string, Continuation>();
  #sequences = new Map<Sequence, number>();
  /** What a repetition becomes once `min` and `max` are one less. */
  #shorter = new Map<GbnfSymbol, Sequence>();
  #lengths = new Map<string, number>();

  constructor(gbnf: string) {
    this.#rules = parseGbnf(gbnf);
    this.#findLengths();
  }

  accepts(text: string): boolean {
    let places = this.#start();
    for (const char of text) {
      const codePoint = char.codePointAt(0) ?? 0;
      places = this.#expand(
        [...places].flatMap((place) =>
          place !== undefined && matches(currentOf(place), codePoint)
            ? [this.#after(place)]
            : [],
        ),
      );
      if (places.size === 0) return false;
    }
    return places.has(undefined);
  }

  #start(): Set<Continuation | undefined> {
    return this.#expand(
      this.#alternativesOf("root").map((one) =>
        this.#continue(one, 0, undefined),
      ),
    );
  }

  #alternativesOf(name: string): readonly Sequence[] {
    const rule = this.#rules.get(name);
    if (rule === undefined) throw new Error(`no rule ${name}`);
    return rule.alternatives;
  }

  /** The continuations whose first symbol is a character; undefined is the end. */
  #expand(
    from: readonly (Continuation | undefined)[],
  ): Set<Continuation | undefined> {
    const found = new Set<Continuation | undefined>();
    const seen = new Set<Continuation>();
    const open = [...from];
    while (open.length > 0) {
      const place = open.pop();
      if (place === undefined) found.add(undefined);
      else if (!seen.has(place)) {
        seen.add(place);
        const steps = this.#steps(place);
        if (steps === undefined) found.add(place);
        else open.push(...steps);
      }
    }
    return found;
  }

  /** Where a place leads without a character; undefined for a place at a character. */
  #steps(place: Continuation): (Continuation | undefined)[] | undefined {
    const symbol = currentOf(place);
    const rest = this.#after(place);
    switch (symbol.kind) {
      case "rule":
        return this.#alternativesOf(symbol.name).map((one) =>
          this.#continue(one, 0, rest),
        );
      case "group":
        return symbol.alternatives.map((one) => this.#continue(one, 0, rest));
      case "repeat": {
        const again = this.#continue(
          symbol.item,
          0,
          this.#continue(this.#oneLess(symbol), 0, rest),
        );
        return symbol.min === 0 ? [rest, again] : [again];
      }
      default:
        return undefined;
    }
  }

  #oneLess(symbol: GbnfSymbol & { kind: "repeat" }): Sequence {
    const known = this.#shorter.get(symbol);
    if (known !== undefined) return known;
    const { max } = symbol;
    const min = Math.max(0, symbol.min - 1);
    const shorter: Sequence =
      max === 1
        ? []
        : max === undefined && min === symbol.min
          ? [symbol]
          : [{ ...symbol, min, ...(max !== undefined && { max: max - 1 }) }];
    this.#shorter.set(symbol, shorter);
    return shorter;
  }

  #after({ sequence, index, next }: Continuation): Continuation | undefined {
    return this.#continue(sequence, index + 1, next);
  }

  #continue(
    sequence: Sequence,
    index: number,
    next: Continuation | undefined,
  ): Continuation | undefined {
    if (index >= sequence.length) return next;
    let number = this.#sequences.get(sequence);
    if (number === undefined)
      this.#sequences.set(sequence, (number = this.#sequences.size));
    const key = `${number}:${index}:${next?.id ?? -1}`;
    let continuation = this.#continuations.get(key);
    if (continuation === undefined) {
      const id = this.#continuations.size;
      continuation = { id, sequence, index, next };
      this.#continuations.set(key, continuation);
    }
    return continuation;
  }

  /** A random text; once it has `longChars` characters it is ended as soon as possible. */
  draw(random: Random, longChars = 60): string {
    let text = "";
    const below = (limit: number): number => random.below(limit);
    const write = (sequence: Sequence): void => {
      for (const symbol of sequence) writeSymbol(symbol);
    };
    const writeOne = (alternatives: readonly Sequence[]): void => {
      const isLong = text.length > longChars;
      const chosen = isLong
        ? alternatives.toSorted(
            (a, b) => this.#lengthOf(a) - this.#lengthOf(b),
          )[0]
        : alternatives[below(alternatives.length)];
      write(chosen ?? []);
    };
    const writeSymbol = (symbol: GbnfSymbol): void => {
      switch (symbol.kind) {
        case "rule":
          return writeOne(this.#alternativesOf(symbol.name));
        case "group":
          return writeOne(symbol.alternatives);
        case "repeat": {
          const most = (symbol.max ?? symbol.min + 4) - symbol.min;
          // The ends of a range are where mistakes are.
          const more =
            text.length > longChars
              ? 0
              : below(4) === 0
                ? Math.min(most, 2000)
                : below(Math.min(most, 6) + 1);
          for (let i = 0; i < symbol.min + more; i++) write(symbol.item);
          return;
        }
        case "any":
          text += "x";
          return;
        case "chars":
          text += drawChar(symbol, below);
          return;
        case "token":
          throw new Error("a token has no text here");
      }
    };
    writeOne(this.#alternativesOf("root"));
    return text;
  }

  /** The shortest text of each rule, by repetition until nothing changes. */
  #findLengths(): void {
    for (let isChanged = true; isChanged;) {
      isChanged = false;
      for (const [name, { alternatives }] of this.#rules) {
        const length = Math.min(
          ...alternatives.map((one) => this.#lengthOf(one)),
        );
        if (length < (this.#lengths.get(name) ?? Infinity)) {
          this.#lengths.set(name, length);
          isChanged = true;
        }
      }
    }
  }

  #lengthOf(sequence: Sequence): number {
    let length = 0;
    for (const symbol of sequence)
      if (symbol.kind === "rule")
        length += this.#lengths.get(symbol.name) ?? Infinity;
      else if (symbol.kind === "group")
        length += Math.min(
          ...symbol.alternatives.map((one) => this.#lengthOf(one)),
        );
      else if (symbol.kind === "repeat")
        length +=
          symbol.min === 0 ? 0 : symbol.min * this.#lengthOf(symbol.item);
      else length += 1;
    return length;
  }
}

function currentOf({ sequence, index }: Continuation): GbnfSymbol {
  const symbol = sequence[index];
  if (symbol === undefined) throw new Error("a continuation without a symbol");
  return symbol;
}

function matches(symbol: GbnfSymbol, codePoint: number): boolean {
  if (symbol.kind === "any") return true;
  if (symbol.kind !== "chars") return false;
  const isIn = symbol.ranges.some(
    ([first, last]) => first <= codePoint && codePoint <= last,
  );
  return isIn !== symbol.isNegated;
}

const SOME_CHARS = "aZ09 -_/.é日🐟\u007f{}[]:,'";

function drawChar(
  symbol: GbnfSymbol & { kind: "chars" },
  below: (limit: number) => number,
): string {
  if (symbol.isNegated) {
    const allowed = Array.from(SOME_CHARS).filter((char) =>
      matches(symbol, char.codePointAt(0) ?? 0),
    );
    return allowed[below(allowed.length)] ?? "";
  }
  const range = symbol.ranges[below(symbol.ranges.length)] ?? [0x3f, 0x3f];
  const [first, last] = range;
  const ends = [first, last, first + below(last - first + 1)];
  return String.fromCodePoint(ends[below(3)] ?? first);
}
