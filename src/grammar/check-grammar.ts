/** Whether llama.cpp takes a grammar, and can work with it. */
import { ShoalError } from "../lib/index.ts";
import {
  parseGbnf,
  type GbnfRule,
  type Sequence,
  type GbnfSymbol,
} from "./gbnf-parser.ts";

/** More rules are no grammar that a person wrote; llama.cpp keeps each as a vector. */
const MAX_RULES = 20_000;
/**
 * The ways in which a text may go on at one place. llama.cpp looks at each of them for every token of the vocabulary, so thousands take
 * seconds, and a grammar of ambiguous rules could have millions.
 */
const MAX_WAYS = 5_000;

/** Throws REQUEST_INVALID, with the line, if llama.cpp would refuse the grammar or take too long over it. */
export function checkGrammar(gbnf: string): void {
  const rules = parseGbnf(gbnf);
  if (!rules.has("root")) throw wrong("it has no rule named root");
  if (rules.size > MAX_RULES)
    throw wrong(`it has more than ${MAX_RULES} rules`);
  for (const { alternatives } of rules.values()) {
    const missing = findSymbol(
      alternatives,
      (symbol) => symbol.kind === "rule" && !rules.has(symbol.name),
    );
    if (missing?.kind === "rule")
      throw wrong(
        `the rule ${missing.name.slice(0, 100)} is missing`,
        missing.line,
      );
  }
  try {
    new Analysis(rules).check();
  } catch (thrown) {
    // Thousands of rules that begin with each other.
    if (thrown instanceof RangeError) throw wrong("its rules are too deep");
    throw thrown;
  }
}

function wrong(reason: string, line?: number): ShoalError {
  return line === undefined
    ? new ShoalError("REQUEST_INVALID", `the grammar is wrong: ${reason}`)
    : new ShoalError(
        "REQUEST_INVALID",
        `the grammar is wrong in line ${line}: ${reason}`,
        { line },
      );
}

function findSymbol(
  alternatives: readonly Sequence[],
  isSought: (symbol: GbnfSymbol) => boolean,
): GbnfSymbol | undefined {
  for (const symbol of alternatives.flat()) {
    if (isSought(symbol)) return symbol;
    const inner =
      symbol.kind === "group"
        ? symbol.alternatives
        : symbol.kind === "repeat"
          ? [symbol.item]
          : [];
    const found = findSymbol(inner, isSought);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a text can begin with at each place. */
class Analysis {
  #rules: ReadonlyMap<string, GbnfRule>;
  /** Whether a rule may be empty; undefined while it is being found out. */
  #nullable = new Map<string, boolean | undefined>();
  /** The ways into each rule; undefined while they are being counted. */
  #ways = new Map<string, number | undefined>();

  constructor(rules: ReadonlyMap<string, GbnfRule>) {
    this.#rules = rules;
  }

  check(): void {
    for (const [name, { alternatives, line }] of this.#rules) {
      this.#waysInto(name, line);
      this.#checkPlaces(alternatives, line);
    }
  }

  #mayBeEmpty(alternatives: readonly Sequence[]): boolean {
    return alternatives.some((sequence) =>
      sequence.every((symbol) => this.#isNullable(symbol)),
    );
  }

  #isNullable(symbol: GbnfSymbol): boolean {
    switch (symbol.kind) {
      case "rule":
        return this.#isNullableRule(symbol.name, symbol.line);
      case "group":
        return this.#mayBeEmpty(symbol.alternatives);
      case "repeat":
        return symbol.min === 0 || this.#mayBeEmpty([symbol.item]);
      default:
        return false;
    }
  }

  #isNullableRule(name: string, line: number): boolean {
    if (this.#nullable.has(name)) {
      const known = this.#nullable.get(name);
      if (known !== undefined) return known;
      throw leftRecursion(name, line);
    }
    this.#nullable.set(name, undefined);
    const isNullable = this.#mayBeEmpty(
      this.#rules.get(name)?.alternatives ?? [],
    );
    this.#nullable.set(name, isNullable);
    return isNullable;
  }

  /** Every place in a rule where several symbols may come next. */
  #checkPlaces(alternatives: readonly Sequence[], line: number): void {
    for (const sequence of alternatives) {
      // From the back, so that each place costs one step.
      let following = 0;
      for (const symbol of sequence.toReversed()) {
        following = bounded(
          this.#waysOf(symbol) + (this.#isNullable(symbol) ? following : 0),
          line,
        );
        if (symbol.kind === "group")
          this.#checkPlaces(symbol.alternatives, line);
        if (symbol.kind === "repeat") this.#checkRepeat(symbol);
      }
    }
  }

  #checkRepeat(symbol: GbnfSymbol & { kind: "repeat" }): void {
    this.#checkPlaces([symbol.item], symbol.line);
    if (symbol.max === undefined && this.#mayBeEmpty([symbol.item]))
      throw wrong(
        "what is repeated without an end must not be empty",
        symbol.line,
      );
  }

  #waysInto(name: string, line: number): number {
    if (this.#ways.has(name)) {
      const known = this.#ways.get(name);
      if (known !== undefined) return known;
      throw leftRecursion(name, line);
    }
    this.#ways.set(name, undefined);
    const rule = this.#rules.get(name);
    const ways = bounded(
      sum(rule?.alternatives ?? [], (sequence) => this.#waysAlong(sequence)),
      line,
    );
    this.#ways.set(name, ways);
    return ways;
  }

  #waysAlong(sequence: Sequence): number {
    let ways = 0;
    for (const symbol of sequence) {
      ways += this.#waysOf(symbol);
      if (!this.#isNullable(symbol)) break;
    }
    return ways;
  }

  #waysOf(symbol: GbnfSymbol): number {
    switch (symbol.kind) {
      case "rule":
        return this.#waysInto(symbol.name, symbol.line);
      case "group":
        return sum(symbol.alternatives, (one) => this.#waysAlong(one));
      case "repeat": {
        const once = this.#waysAlong(symbol.item);
        const mayRepeatAtOnce = this.#mayBeEmpty([symbol.item]);
        return bounded(
          mayRepeatAtOnce ? once * (symbol.max ?? 1) : once,
          symbol.line,
        );
      }
      default:
        return 1;
    }
  }
}

function leftRecursion(name: string, line: number): ShoalError {
  return wrong(
    `the rule ${name.slice(0, 100)} begins with itself (left recursion)`,
    line,
  );
}

function bounded(ways: number, line: number): number {
  if (ways <= MAX_WAYS) return ways;
  throw wrong(`a text may go on in more than ${MAX_WAYS} ways`, line);
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
