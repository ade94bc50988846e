/** Reads a regular expression in the syntax that JavaScript and Python share. What is not regular, and what the two disagree on, is refused. */
import { complement, charsOf, union, type CharSet } from "./char-set.ts";

export type RegexNode =
  | { kind: "chars"; set: CharSet }
  | { kind: "sequence" | "choice"; parts: readonly RegexNode[] }
  | { kind: "repeat"; part: RegexNode; min: number; max: number }
  | { kind: "start" | "end" }
  | { kind: "ahead"; part: RegexNode; isNegated: boolean };

/** Why a regular expression is refused. */
export class RegexError extends Error {}

/** Longer ones are no pattern that a person wrote. */
const MAX_CHARS = 8192;
/** The parser descends into each group. */
const MAX_NESTING = 100;

const DIGITS = charsOf("0123456789");
const WORD = union(DIGITS, charsOf("_"), [
  [0x41, 0x5a],
  [0x61, 0x7a],
]);
/** As in JavaScript. */
const SPACE = union(
  charsOf("\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"),
  [[0x2000, 0x200a]],
);
const CLASSES: Readonly<Record<string, CharSet>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};
const CONTROLS: Readonly<Record<string, string>> = {
  t: "\t",
  n: "\n",
  r: "\r",
  f: "\f",
  v: "\v",
};
const NOT_A_LINE_END = complement(charsOf("\n\r\u2028\u2029"));

export function parseRegex(source: string): RegexNode {
  if (source.length > MAX_CHARS)
    throw new RegexError(`it has more than ${MAX_CHARS} characters`);
  return new Parser(source).parse();
}

class Parser {
  #source: string;
  #at = 0;
  #nesting = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): RegexNode {
    const node = this.#choice();
    if (this.#at < this.#source.length) throw this.#error('an extra ")"');
    return node;
  }

  #error(reason: string): RegexError {
    return new RegexError(`${reason} at character ${this.#at + 1}`);
  }

  #take(expected: string): boolean {
    if (!this.#source.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source) ?? undefined;
    this.#at += found?.[0].length ?? 0;
    return found;
  }

  #choice(): RegexNode {
    this.#nesting += 1;
    if (this.#nesting > MAX_NESTING)
      throw this.#error(`more than ${MAX_NESTING} groups inside each other`);
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#nesting -= 1;
    return { kind: "choice", parts };
  }

  #sequence(): RegexNode {
    const parts: RegexNode[] = [];
    while (
      this.#at < this.#source.length &&
      !/[|)]/.test(this.#source[this.#at] ?? "")
    )
      parts.push(this.#repeated(this.#atom()));
    return { kind: "sequence", parts };
  }

  #repeated(part: RegexNode): RegexNode {
    const found = this.#match(/[*+?]|\{(\d{1,6})(?:(,)(\d{1,6})?)?\}/y);
    if (found === undefined) return part;
    if (part.kind === "start" || part.kind === "end" || part.kind === "ahead")
      throw this.#error("nothing to repeat");
    const [mark, low = "0", comma, high] = found;
    // A lazy repetition reads the same texts.
    this.#take("?");
    if (/^[*+?]|^\{\d/.test(this.#source.slice(this.#at, this.#at + 2)))
      throw this.#error("a repetition of a repetition");
    const min = mark === "+" ? 1 : Number(low);
    if (mark === "?") return { kind: "repeat", part, min: 0, max: 1 };
    const isOpen =
      mark === "*" ||
      mark === "+" ||
      (comma !== undefined && high === undefined);
    const max = isOpen ? Infinity : Number(high ?? low);
    if (max < min) throw this.#error("a repetition ends below its beginning");
    return { kind: "repeat", part, min, max };
  }

  #atom(): RegexNode {
    if (this.#take("^")) return { kind: "start" };
    if (this.#take("$")) return { kind: "end" };
    if (this.#take(".")) return { kind: "chars", set: NOT_A_LINE_END };
    if (this.#take("(")) return this.#group();
    if (this.#take("[")) return { kind: "chars", set: this.#class() };
    if (this.#take("\\")) return { kind: "chars", set: this.#escape(false) };
    if (/[*+?]/.test(this.#source[this.#at] ?? ""))
      throw this.#error("nothing to repeat");
    return { kind: "chars", set: this.#char() };
  }

  #char(): CharSet {
    const code = this.#source.codePointAt(this.#at) ?? 0;
    this.#at += code > 0xffff ? 2 : 1;
    return [[code, code]];
  }

  #group(): RegexNode {
    const ahead = this.#match(/\?[=!]/y)?.[0];
    if (ahead === undefined && !this.#match(/\?:|\?P?<[A-Za-z_]\w*>/y))
      if (this.#source[this.#at] === "?")
        throw this.#error("a group of this kind is not supported");
    const part = this.#choice();
    if (!this.#take(")")) throw this.#error('expected ")"');
    return ahead === undefined
      ? part
      : { kind: "ahead", part, isNegated: ahead === "?!" };
  }

  #class(): CharSet {
    const isNegated = this.#take("^");
    const sets: CharSet[] = [];
    while (!this.#take("]")) {
      if (this.#at >= this.#source.length) throw this.#error('expected "]"');
      const set = this.#member();
      const next = this.#source.slice(this.#at, this.#at + 2);
      if (next.startsWith("-") && next !== "-]" && isOne(set)) {
        this.#at += 1;
        const last = this.#member();
        if (!isOne(last)) throw this.#error("a range without an end");
        const range = [set[0]?.[0] ?? 0, last[0]?.[0] ?? 0] as const;
        if (range[1] < range[0]) throw this.#error("a range out of order");
        sets.push([range]);
      } else sets.push(set);
    }
    const set = union(...sets);
    return isNegated ? complement(set) : set;
  }

  #member(): CharSet {
    return this.#take("\\") ? this.#escape(true) : this.#char();
  }

  #escape(isInClass: boolean): CharSet {
    const hex = this.#match(
      /x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}/y,
    );
    if (hex !== undefined) {
      const code = Number.parseInt(hex[1] ?? hex[2] ?? hex[3] ?? "", 16);
      if (code > 0x10ffff) throw this.#error("no such character");
      return [[code, code]];
    }
    const letter = this.#source[this.#at] ?? "";
    if (isInClass && this.#take("b")) return charsOf("\b");
    if (/[A-Za-z0-9]/.test(letter) || letter === "") {
      this.#at += 1;
      const set = Object.hasOwn(CLASSES, letter) ? CLASSES[letter] : undefined;
      const control = Object.hasOwn(CONTROLS, letter)
        ? CONTROLS[letter]
        : undefined;
      if (set === undefined && control === undefined)
        throw this.#error(`the escape \\${letter} is not supported`);
      return set ?? charsOf(control ?? "");
    }
    return this.#char();
  }
}

function isOne(set: CharSet): boolean {
  return set.length === 1 && set[0]?.[0] === set[0]?.[1];
}
