/**
 * GBNF, llama.cpp's form of grammars (grammars/README.md there at v0.5.0), as tables that a matcher walks. A grammar comes from strangers, so
 * everything about it is bounded, and nothing here calls itself deeper than `maxDepth`.
 *
 *     const grammar = parseGbnf('root ::= "yes" | "no"', (text) => tokenOf(text));
 */
import { ShoalError } from "../../lib/index.ts";
import { type Gbnf, GBNF_LIMITS, NodeKind } from "./gbnf-tables.ts";
import { refuseLeftRecursion } from "./left-recursion.ts";
import { CharacterSet } from "./character-set.ts";

type Sequence = { kind: number; value: number }[];

/** Throws GRAMMAR_INVALID with the line. `tokenOf` reads the text of a token, "<|im_end|>". */
export function parseGbnf(
  text: string,
  tokenOf: (text: string) => number | undefined,
): Gbnf {
  return new Parser(text, tokenOf).parse();
}

class Parser {
  readonly #text: string;
  readonly #tokenOf: (text: string) => number | undefined;
  readonly #sets: CharacterSet[] = [];
  readonly #setIds = new Map<string, number>();
  readonly #names = new Map<string, number>();
  /** Where a rule is mentioned first, for its error. */
  readonly #mentioned: number[] = [];
  readonly #rules: (Sequence[] | undefined)[] = [];
  /** Rules for one more, or none: by what is repeated, and how often after it. */
  readonly #optional = new Map<string, number>();
  #at = 0;
  #depth = 0;
  #nodes = 0;

  constructor(text: string, tokenOf: (text: string) => number | undefined) {
    this.#text = text;
    this.#tokenOf = tokenOf;
  }

  parse(): Gbnf {
    if (this.#text.length > GBNF_LIMITS.maxLength)
      throw this.#error(
        `it has ${this.#text.length} characters, of ${GBNF_LIMITS.maxLength} at most`,
      );
    this.#space(true);
    while (this.#at < this.#text.length) this.#rule();
    const root = this.#names.get("root");
    if (root === undefined) throw this.#error("there is no rule `root`");
    const tables = this.#tables(root);
    refuseLeftRecursion(tables, (rule) => this.#errorAt(rule));
    return tables;
  }

  #tables(root: number): Gbnf {
    const [kinds, values]: [number[], number[]] = [[], []];
    const rules = this.#rules.map((alternatives, rule) => {
      if (alternatives === undefined)
        throw this.#errorAt(rule, "this rule is not defined");
      return alternatives.map((sequence) => {
        const start = kinds.length;
        for (const { kind, value } of sequence) {
          kinds.push(kind);
          values.push(value);
        }
        kinds.push(NodeKind.End);
        values.push(0);
        return start;
      });
    });
    return { kinds, values, sets: this.#sets, rules, root };
  }

  #rule(): void {
    const name = this.#name();
    this.#space(false);
    if (!this.#text.startsWith("::=", this.#at))
      throw this.#error(`expected \`::=\` after \`${name}\``);
    this.#at += 3;
    this.#space(true);
    const rule = this.#ruleOf(name);
    this.#rules[rule] = this.#alternatives(false);
    const end = this.#text[this.#at];
    if (end !== undefined && end !== "\n" && end !== "\r")
      throw this.#error(`unexpected \`${end}\``);
    this.#space(true);
  }

  #alternatives(isNested: boolean): Sequence[] {
    if (++this.#depth > GBNF_LIMITS.maxDepth)
      throw this.#error("its brackets are too deep");
    const alternatives = [this.#sequence(isNested)];
    while (this.#text[this.#at] === "|") {
      this.#at++;
      this.#space(true);
      alternatives.push(this.#sequence(isNested));
    }
    this.#depth--;
    return alternatives;
  }

  #sequence(isNested: boolean): Sequence {
    const sequence: Sequence = [];
    /** Where the last item begins, which a repetition is about. */
    let last = -1;
    for (;;) {
      const character = this.#text[this.#at];
      if (character !== undefined && "*+?{".includes(character)) {
        if (last < 0)
          throw this.#error(`there is nothing before \`${character}\``);
        const item = sequence.splice(last);
        sequence.push(...this.#repeated(item, this.#counts(isNested)));
      } else {
        const item = this.#item();
        if (item === undefined) return sequence;
        last = sequence.length;
        sequence.push(...item);
      }
      this.#space(isNested);
    }
  }

  /** Undefined: the sequence ends here. */
  #item(): Sequence | undefined {
    const character = this.#text[this.#at] ?? "";
    switch (character) {
      case '"':
        return this.#literal();
      case "[":
        return [this.#class()];
      case "(": {
        this.#at++;
        this.#space(true);
        const value = this.#newRule(this.#alternatives(true));
        if (this.#text[this.#at] !== ")") throw this.#error("expected `)`");
        this.#at++;
        return [{ kind: NodeKind.Rule, value }];
      }
      case ".":
        this.#at++;
        return [this.#set(true, [])];
      case "<":
        return [{ kind: NodeKind.Token, value: this.#token() }];
      case "!":
        this.#at++;
        return [{ kind: NodeKind.OtherToken, value: this.#token() }];
      default:
        if (!NAME.test(character)) return undefined;
        return [this.#count({ kind: NodeKind.Rule, value: this.#reference() })];
    }
  }

  #literal(): Sequence {
    this.#at++;
    const sequence: Sequence = [];
    while (this.#text[this.#at] !== '"') {
      const code = this.#character();
      sequence.push(this.#set(false, [[code, code]]));
    }
    this.#at++;
    return sequence;
  }

  #class(): Sequence[number] {
    this.#at++;
    const isNegated = this.#text[this.#at] === "^";
    if (isNegated) this.#at++;
    const ranges: [number, number][] = [];
    while (this.#text[this.#at] !== "]") {
      const first = this.#character();
      const isRange =
        this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      ranges.push([first, isRange ? this.#character() : first]);
    }
    this.#at++;
    return this.#set(isNegated, ranges);
  }

  #set(isNegated: boolean, ranges: [number, number][]): Sequence[number] {
    const set = new CharacterSet(isNegated, ranges);
    let value = this.#setIds.get(set.key);
    if (value === undefined) {
      value = this.#sets.push(set) - 1;
      this.#setIds.set(set.key, value);
    }
    return this.#count({ kind: NodeKind.Character, value });
  }

  #token(): number {
    const end = this.#text.indexOf(">", this.#at);
    const text = this.#text.slice(this.#at, end + 1);
    if (!text.startsWith("<")) throw this.#error("expected `<` and a token");
    const id = /^<\[(\d{1,9})\]>$/.exec(text)?.[1];
    const token = id === undefined ? this.#tokenOf(text) : Number(id);
    if (token === undefined)
      throw this.#error(`\`${text.slice(0, 64)}\` is no token of this model`);
    this.#at += text.length;
    this.#count(undefined);
    return token;
  }

  /** What `*`, `+`, `?` and `{2,5}` mean. */
  #counts(isNested: boolean): { least: number; most: number } {
    switch (this.#text[this.#at++]) {
      case "*":
        return { least: 0, most: Infinity };
      case "+":
        return { least: 1, most: Infinity };
      case "?":
        return { least: 0, most: 1 };
      default: {
        this.#space(isNested);
        const least = this.#number();
        this.#space(isNested);
        let most = least;
        if (this.#text[this.#at] === ",") {
          this.#at++;
          this.#space(isNested);
          most = this.#text[this.#at] === "}" ? Infinity : this.#number();
          this.#space(isNested);
        }
        if (this.#text[this.#at] !== "}") throw this.#error("expected `}`");
        this.#at++;
        if (most < least)
          throw this.#error(`a repetition of ${least} to ${most}`);
        return { least, most };
      }
    }
  }

  #number(): number {
    const digits = /^\d{1,9}/.exec(this.#text.slice(this.#at, this.#at + 9));
    if (digits === null) throw this.#error("expected a number");
    this.#at += digits[0].length;
    const value = Number(digits[0]);
    if (value > GBNF_LIMITS.maxRepetitions)
      throw this.#error(
        `more than ${GBNF_LIMITS.maxRepetitions} repetitions of one thing`,
      );
    return value;
  }

  /** The first ones must be there; each of the others is a rule that may be empty. */
  #repeated(
    item: Sequence,
    { least, most }: { least: number; most: number },
  ): Sequence {
    const one: Sequence =
      item.length === 1
        ? item
        : [{ kind: NodeKind.Rule, value: this.#newRule([item]) }];
    const out: Sequence = [];
    for (let i = 0; i < least; i++) out.push(...one.map(this.#count));
    if (most === Infinity) {
      const rule = this.#newRule([]);
      const again = { kind: NodeKind.Rule, value: rule };
      this.#rules[rule] = [[...one, again], []];
      out.push(this.#count(again));
    } else {
      const [{ kind, value } = { kind: 0, value: 0 }] = one;
      let rest: Sequence = [];
      for (let i = least; i < most; i++) {
        const key = `${kind} ${value} ${i - least}`;
        // A schema has many texts of the same length at most.
        const rule =
          this.#optional.get(key) ?? this.#newRule([[...one, ...rest], []]);
        this.#optional.set(key, rule);
        rest = [{ kind: NodeKind.Rule, value: rule }];
      }
      out.push(...rest.map(this.#count));
    }
    return out;
  }

  #newRule(alternatives: Sequence[]): number {
    alternatives.forEach(this.#count);
    this.#mentioned.push(this.#at);
    return this.#rules.push(alternatives) - 1;
  }

  readonly #count = <T>(node: T): T => {
    if (++this.#nodes > GBNF_LIMITS.maxNodes)
      throw this.#error("it is too large, with its repetitions written out");
    return node;
  };

  #reference(): number {
    return this.#ruleOf(this.#name());
  }

  #ruleOf(name: string): number {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    this.#count(undefined);
    this.#mentioned.push(this.#at);
    const rule = this.#rules.push(undefined) - 1;
    this.#names.set(name, rule);
    return rule;
  }

  #name(): string {
    const start = this.#at;
    while (NAME.test(this.#text[this.#at] ?? "")) this.#at++;
    if (start === this.#at) throw this.#error("expected the name of a rule");
    return this.#text.slice(start, this.#at);
  }

  /** A character of a literal or a class. */
  #character(): number {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) throw this.#error("unexpected end");
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== BACKSLASH) return code;
    const escape = this.#text[this.#at++] ?? "";
    const digits = HEX_DIGITS[escape];
    if (digits === undefined) {
      const plain = ESCAPES[escape];
      if (plain === undefined)
        throw this.#error(`unknown escape \`\\${escape}\``);
      return plain;
    }
    const hex = this.#text.slice(this.#at, this.#at + digits);
    if (!/^[\da-f]+$/i.test(hex) || hex.length < digits)
      throw this.#error(`expected ${digits} hexadecimal digits`);
    this.#at += digits;
    return Number.parseInt(hex, 16);
  }

  #space(takesLines: boolean): void {
    for (;;) {
      const character = this.#text[this.#at];
      if (character === "#") {
        while (!/^[\r\n]?$/.test(this.#text[this.#at] ?? "")) this.#at++;
      } else if (
        character === " " ||
        character === "\t" ||
        (takesLines && (character === "\r" || character === "\n"))
      )
        this.#at++;
      else return;
    }
  }

  #errorAt(rule: number, what?: string): ShoalError {
    this.#at = this.#mentioned[rule] ?? 0;
    return this.#error(what ?? "a rule begins with itself");
  }

  #error(what: string): ShoalError {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    return new ShoalError("GRAMMAR_INVALID", `grammar, line ${line}: ${what}`, {
      line,
    });
  }
}

const NAME = /^[\w-]$/;
const BACKSLASH = 0x5c;
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const ESCAPES: Readonly<Record<string, number>> = {
  t: 9,
  r: 13,
  n: 10,
  "\\": BACKSLASH,
  '"': 0x22,
  "[": 0x5b,
  "]": 0x5d,
  "-": 0x2d,
};
