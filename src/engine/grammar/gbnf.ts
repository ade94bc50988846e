/**
 * A grammar (GBNF, llama.cpp's form) as tables that a matcher walks. It comes from strangers, so all of it is bounded: its text by its reader, the
 * tables here.
 *
 *     const grammar = compileGbnf('root ::= "yes" | "no"', (text) => tokenOf(text));
 */
import {
  type CharRange,
  type GbnfRule,
  type GbnfSymbol,
  parseGbnf,
} from "../../grammar/index.ts";
import { isShoalError, ShoalError } from "../../lib/index.ts";
import { CharacterSet } from "./character-set.ts";
import { type Gbnf, MAX_NODES, NodeKind } from "./gbnf-tables.ts";
import { refuseLeftRecursion } from "./left-recursion.ts";

type Sequence = { kind: number; value: number }[];

/** Throws GRAMMAR_INVALID with the line. `tokenOf` reads the text of a token, "<|im_end|>". */
export function compileGbnf(
  text: string,
  tokenOf: (text: string) => number | undefined,
): Gbnf {
  return new Compiler(rulesOf(text), tokenOf).compile();
}

function rulesOf(text: string): ReadonlyMap<string, GbnfRule> {
  try {
    return parseGbnf(text);
  } catch (error) {
    // The request was taken: the gateway that passed it on did not look, or is of another version.
    if (!isShoalError(error, "REQUEST_INVALID")) throw error;
    throw new ShoalError("GRAMMAR_INVALID", error.message, error.details);
  }
}

class Compiler {
  readonly #given: ReadonlyMap<string, GbnfRule>;
  readonly #tokenOf: (text: string) => number | undefined;
  readonly #sets: CharacterSet[] = [];
  readonly #setIds = new Map<string, number>();
  readonly #names = new Map<string, number>();
  readonly #rules: Sequence[][] = [];
  /** Of each rule, for its error. */
  readonly #lines: number[] = [];
  /** Rules for one more, or none: by what is repeated, and how often after it. */
  readonly #optional = new Map<string, number>();
  /** The one that is read. */
  #line = 1;
  #nodes = 0;

  constructor(
    given: ReadonlyMap<string, GbnfRule>,
    tokenOf: (text: string) => number | undefined,
  ) {
    this.#given = given;
    this.#tokenOf = tokenOf;
  }

  compile(): Gbnf {
    for (const [name, { line }] of this.#given) {
      this.#line = line;
      this.#names.set(name, this.#newRule([]));
    }
    const root = this.#names.get("root");
    if (root === undefined) throw this.#error("there is no rule `root`");
    for (const [name, { alternatives, line }] of this.#given) {
      this.#line = line;
      const rule = this.#names.get(name) ?? root;
      this.#rules[rule] = this.#alternatives(alternatives);
    }
    const tables = this.#tables(root);
    refuseLeftRecursion(tables, (rule) =>
      this.#error("a rule begins with itself", this.#lines[rule]),
    );
    return tables;
  }

  #tables(root: number): Gbnf {
    const [kinds, values]: [number[], number[]] = [[], []];
    const rules = this.#rules.map((alternatives) =>
      alternatives.map((sequence) => {
        const start = kinds.length;
        for (const { kind, value } of sequence) {
          kinds.push(kind);
          values.push(value);
        }
        kinds.push(NodeKind.End);
        values.push(0);
        return start;
      }),
    );
    return { kinds, values, sets: this.#sets, rules, root };
  }

  #alternatives(given: readonly (readonly GbnfSymbol[])[]): Sequence[] {
    return given.map((sequence) => this.#count(this.#sequence(sequence)));
  }

  #sequence(symbols: readonly GbnfSymbol[]): Sequence {
    return symbols.flatMap((symbol) => this.#symbol(symbol));
  }

  /** Groups are in each other to a depth that their reader bounds. */
  #symbol(symbol: GbnfSymbol): Sequence {
    switch (symbol.kind) {
      case "chars":
        return [this.#set(symbol.isNegated, symbol.ranges)];
      case "any":
        return [this.#set(true, [])];
      case "token":
        return [
          this.#count({
            kind: symbol.isNegated ? NodeKind.OtherToken : NodeKind.Token,
            value: this.#token(symbol.text),
          }),
        ];
      case "rule": {
        const value = this.#names.get(symbol.name);
        if (value === undefined)
          throw this.#error(
            `the rule ${symbol.name.slice(0, 100)} is missing`,
            symbol.line,
          );
        return [this.#count({ kind: NodeKind.Rule, value })];
      }
      case "group": {
        const value = this.#newRule(this.#alternatives(symbol.alternatives));
        return [this.#count({ kind: NodeKind.Rule, value })];
      }
      case "repeat":
    }
    const { item, min, max = Infinity } = symbol;
    return this.#repeated(this.#sequence(item), min, max);
  }

  #set(isNegated: boolean, ranges: readonly CharRange[]): Sequence[number] {
    const set = new CharacterSet(isNegated, ranges);
    let value = this.#setIds.get(set.key);
    if (value === undefined) {
      value = this.#sets.push(set) - 1;
      this.#setIds.set(set.key, value);
    }
    return this.#count({ kind: NodeKind.Character, value });
  }

  #token(text: string): number {
    const id = /^<\[(\d+)\]>$/.exec(text)?.[1];
    const token = id === undefined ? this.#tokenOf(text) : Number(id);
    if (token !== undefined) return token;
    throw this.#error(`\`${text.slice(0, 64)}\` is no token of this model`);
  }

  /** The first ones must be there; each of the others is a rule that may be empty. */
  #repeated(item: Sequence, least: number, most: number): Sequence {
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
    this.#count(undefined);
    this.#lines.push(this.#line);
    return this.#rules.push(alternatives) - 1;
  }

  readonly #count = <T>(node: T): T => {
    if (++this.#nodes > MAX_NODES)
      throw this.#error("it is too large, with its repetitions written out");
    return node;
  };

  #error(what: string, line = this.#line): ShoalError {
    return new ShoalError(
      "GRAMMAR_INVALID",
      `the grammar is wrong in line ${line}: ${what}`,
      { line },
    );
  }
}
