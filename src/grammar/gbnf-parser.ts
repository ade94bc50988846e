/** Reads GBNF as llama.cpp does (src/llama-grammar.cpp), with its limits and quirks, but says where it is wrong. */
import { ShoalError } from "../lib/index.ts";
import type { CharRange } from "./gbnf.ts";

export type GbnfSymbol =
  | { kind: "chars"; isNegated: boolean; ranges: readonly CharRange[] }
  /** Any character. */
  | { kind: "any" }
  /** One token of the vocabulary, by its text or number, or any other one. */
  | { kind: "token"; isNegated: boolean; text: string }
  | { kind: "rule"; name: string; line: number }
  | { kind: "group"; alternatives: readonly Sequence[] }
  /** No `max` is any number of times. */
  | { kind: "repeat"; item: Sequence; min: number; max?: number; line: number };

export type Sequence = readonly GbnfSymbol[];

export interface GbnfRule {
  alternatives: readonly Sequence[];
  line: number;
}

/** Of a grammar's text: a schema of some hundred fields makes 50 KiB. */
export const MAX_GRAMMAR_CHARS = 256 * 1024;
/** Groups inside groups: llama.cpp and this reader descend into each. */
const MAX_NESTING = 100;
/** llama.cpp's MAX_REPETITION_THRESHOLD, for the rules that a repetition makes. */
const MAX_REPETITIONS = 2000;
/** Repetitions are written out: the symbols of all of them. The engine has the same bound, after it shared what is equal. */
const MAX_ELEMENTS = 1 << 17;

/** The rules by name. Throws REQUEST_INVALID, with the line. */
export function parseGbnf(text: string): Map<string, GbnfRule> {
  if (text.length > MAX_GRAMMAR_CHARS)
    throw new ShoalError(
      "REQUEST_INVALID",
      `the grammar has more than ${MAX_GRAMMAR_CHARS} characters`,
    );
  return new Parser(text).parse();
}

class Parser {
  #text: string;
  #at = 0;
  /** The line that was last asked for, and where it ends. */
  #lines = 1;
  #nextLine: number;
  #nesting = 0;
  #elements = 0;
  /** As llama.cpp counts them: names when they are first met, and one for each group and optional repetition. */
  #names = new Set<string>();
  #madeSymbols = 0;

  constructor(text: string) {
    this.#text = text;
    this.#nextLine = text.indexOf("\n");
  }

  parse(): Map<string, GbnfRule> {
    const rules = new Map<string, GbnfRule>();
    this.#space(true);
    while (this.#at < this.#text.length) {
      const line = this.#line();
      const name = this.#name();
      this.#names.add(name);
      this.#space(false);
      if (!this.#take("::=")) throw this.#error('expected "::="');
      this.#space(true);
      const alternatives = this.#alternatives(false);
      if (!this.#take("\r\n") && !this.#take("\r") && !this.#take("\n"))
        if (this.#at < this.#text.length)
          throw this.#error("expected a new line or the end");
      rules.set(name, { alternatives, line });
      this.#space(true);
    }
    return rules;
  }

  #error(expected: string): ShoalError {
    const line = this.#line();
    return new ShoalError(
      "REQUEST_INVALID",
      `the grammar is wrong in line ${line}: ${expected}`,
      { line },
    );
  }

  #line(): number {
    while (this.#nextLine >= 0 && this.#nextLine < this.#at) {
      this.#lines += 1;
      this.#nextLine = this.#text.indexOf("\n", this.#nextLine + 1);
    }
    return this.#lines;
  }

  #take(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #space(acrossLines: boolean): void {
    this.#match(
      acrossLines ? /(?:[ \t\r\n]|#[^\r\n]*)*/y : /(?:[ \t]|#[^\r\n]*)*/y,
    );
  }

  #name(): string {
    const name = this.#match(/[A-Za-z0-9-]+/y);
    if (name === undefined) throw this.#error("expected a name");
    return name;
  }

  #alternatives(isNested: boolean): Sequence[] {
    const alternatives = [this.#sequence(isNested)];
    while (this.#take("|")) {
      this.#space(true);
      alternatives.push(this.#sequence(isNested));
    }
    return alternatives;
  }

  #sequence(isNested: boolean): Sequence {
    const sequence: GbnfSymbol[] = [];
    // Where the last symbol begins, and how many rules it stands for.
    let last = 0;
    let made = 1;
    for (;;) {
      const times = this.#times();
      if (times !== undefined) {
        if (last === sequence.length)
          throw this.#error("expected something to repeat");
        made *= this.#checkTimes(times, made);
        sequence.push(this.#repeat(sequence.splice(last), times));
        this.#space(isNested);
        continue;
      }
      const before = this.#names.size + this.#madeSymbols;
      const symbols = this.#symbols();
      if (symbols === undefined) return sequence;
      last = sequence.length;
      made = Math.max(1, this.#names.size + this.#madeSymbols - before);
      if (symbols.length !== 1 || symbols[0]?.kind !== "group") made = 1;
      this.#count(symbols.length);
      sequence.push(...symbols);
      this.#space(isNested);
    }
  }

  #count(elements: number): void {
    this.#elements += elements;
    if (this.#elements > MAX_ELEMENTS)
      throw this.#error(
        `the repetitions up to here come to more than ${MAX_ELEMENTS} symbols`,
      );
  }

  /** `*`, `+`, `?` or braces. */
  #times(): { min: number; max?: number } | undefined {
    if (this.#take("*")) return { min: 0 };
    if (this.#take("+")) return { min: 1 };
    if (this.#take("?")) return { min: 0, max: 1 };
    if (!this.#take("{")) return undefined;
    const braces = this.#match(
      /[ \t]*\d{1,9}[ \t]*(?:,[ \t]*(?:\d{1,9}[ \t]*)?)?\}/y,
    );
    if (braces === undefined)
      throw this.#error("expected {number}, {from,} or {from,to}");
    const [min = 0, max] = [...braces.matchAll(/\d+/g)].map(Number);
    if (max !== undefined) return { min, max };
    return braces.includes(",") ? { min } : { min, max: min };
  }

  #checkTimes(times: { min: number; max?: number }, made: number): number {
    const { min, max } = times;
    if (max !== undefined && max < min)
      throw this.#error("a repetition ends below its beginning");
    if (Math.max(min, max ?? 0) > MAX_REPETITIONS)
      throw this.#error(`expected ${MAX_REPETITIONS} repetitions at most`);
    const rules = max !== undefined && max > 0 ? max : Math.max(min, 1);
    if (made * rules >= MAX_REPETITIONS)
      throw this.#error(
        `a repetition, times the rules in what it repeats, must stay below ${MAX_REPETITIONS}`,
      );
    return rules;
  }

  #repeat(
    item: Sequence,
    { min, max }: { min: number; max?: number },
  ): GbnfSymbol {
    const optional = max === undefined ? 1 : max - min;
    this.#madeSymbols += optional;
    this.#count(item.length * (min + optional));
    return {
      kind: "repeat",
      item,
      min,
      ...(max !== undefined && { max }),
      line: this.#line(),
    };
  }

  /** One symbol; a literal has one for each of its characters. */
  #symbols(): GbnfSymbol[] | undefined {
    if (this.#take('"')) return this.#literal();
    if (this.#take("[")) return this.#class();
    if (this.#take(".")) return [{ kind: "any" }];
    if (this.#take("(")) return [this.#group()];
    const isNegated = this.#take("!");
    if (isNegated || this.#text[this.#at] === "<")
      return [this.#token(isNegated)];
    const line = this.#line();
    const name = this.#match(/[A-Za-z0-9-]+/y);
    if (name === undefined) return undefined;
    this.#names.add(name);
    return [{ kind: "rule", name, line }];
  }

  #group(): GbnfSymbol {
    this.#nesting += 1;
    if (this.#nesting > MAX_NESTING)
      throw this.#error(`more than ${MAX_NESTING} groups inside each other`);
    this.#space(true);
    this.#madeSymbols += 1;
    const alternatives = this.#alternatives(true);
    if (!this.#take(")")) throw this.#error('expected ")"');
    this.#nesting -= 1;
    return { kind: "group", alternatives };
  }

  #token(isNegated: boolean): GbnfSymbol {
    const text = this.#match(/<\[\d{1,9}\]>|<[^>[\0][^>\0]*>/y);
    if (text === undefined)
      throw this.#error("expected <token> or <[number of a token]>");
    return { kind: "token", isNegated, text };
  }

  #literal(): GbnfSymbol[] {
    const chars: GbnfSymbol[] = [];
    while (!this.#take('"')) {
      const char = this.#char();
      chars.push({ kind: "chars", isNegated: false, ranges: [[char, char]] });
    }
    return chars;
  }

  #class(): GbnfSymbol[] {
    const isNegated = this.#take("^");
    const ranges: CharRange[] = [];
    while (!this.#take("]")) {
      const first = this.#char();
      const isRange =
        this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]";
      if (isRange) this.#at += 1;
      ranges.push([first, isRange ? this.#char() : first]);
    }
    // llama.cpp skips a class without characters.
    this.#count(ranges.length);
    return ranges.length === 0 ? [] : [{ kind: "chars", isNegated, ranges }];
  }

  #char(): number {
    const char = this.#text.codePointAt(this.#at);
    if (char === undefined || char === 0)
      throw this.#error("a text or a class has no end");
    if (!this.#take("\\")) {
      this.#at += char > 0xffff ? 2 : 1;
      return char;
    }
    const hex = this.#match(/x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}/y);
    if (hex !== undefined) return Number.parseInt(hex.slice(1), 16);
    const escape = this.#match(/[trn\\"[\]-]/y);
    if (escape === undefined) throw this.#error("an unknown escape");
    return ({ t: "\t", r: "\r", n: "\n" }[escape] ?? escape).charCodeAt(0);
  }
}
