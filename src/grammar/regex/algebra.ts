/**
 * Regular languages as expressions that have intersection and complement too, and their derivatives (Brzozowski 1964,
 * https://doi.org/10.1145/321239.321249): the derivative by a character is what may follow it.
 */
import { ALL_CHARS, includes, type CharSet } from "./char-set.ts";

/** An expression; equal ones, as far as simple laws tell, are the same object. */
export type Expression = { id: number; isNullable: boolean } & (
  | { kind: "none" | "empty" }
  | { kind: "chars"; set: CharSet }
  | { kind: "then"; first: Expression; second: Expression }
  | { kind: "or" | "and"; parts: readonly Expression[] }
  | { kind: "not"; part: Expression }
  | { kind: "repeat"; part: Expression; min: number; max: number }
);
type Shape<T> = T extends unknown ? Omit<T, "id" | "isNullable"> : never;

/** A regular expression that would need too large an automaton. */
export class TooLarge extends Error {}

/** How many expressions and derivatives may still be made, by all that share it. */
export interface Budget {
  left: number;
}

export class Algebra {
  #budget: Budget;
  #known = new Map<string, Expression>();
  #derived = new Map<string, Expression>();
  #edges = new Map<Expression, ReadonlySet<number>>();
  readonly none: Expression;
  readonly empty: Expression;
  /** Any text. */
  readonly all: Expression;

  constructor(budget: Budget) {
    this.#budget = budget;
    this.none = this.#make("0", false, { kind: "none" });
    this.empty = this.#make("1", true, { kind: "empty" });
    this.all = this.repeat(this.chars(ALL_CHARS), 0, Infinity);
  }

  #spend(amount: number): void {
    this.#budget.left -= amount;
    if (this.#budget.left < 0) throw new TooLarge();
  }

  #make(
    key: string,
    isNullable: boolean,
    shape: Shape<Expression>,
  ): Expression {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#spend(1);
    const made = { id: this.#known.size, isNullable, ...shape };
    this.#known.set(key, made);
    return made;
  }

  chars(set: CharSet): Expression {
    if (set.length === 0) return this.none;
    return this.#make(`c${set.join(";")}`, false, { kind: "chars", set });
  }

  sequence(first: Expression, second: Expression): Expression {
    if (first === this.none || second === this.none) return this.none;
    if (first === this.empty) return second;
    if (second === this.empty) return first;
    if (first.kind === "then")
      return this.sequence(first.first, this.sequence(first.second, second));
    if (first === this.all && second === this.all) return this.all;
    return this.#make(
      `.${first.id},${second.id}`,
      first.isNullable && second.isNullable,
      { kind: "then", first, second },
    );
  }

  or(...parts: readonly Expression[]): Expression {
    return this.#combine("or", parts, this.none, this.all);
  }

  and(...parts: readonly Expression[]): Expression {
    return this.#combine("and", parts, this.all, this.none);
  }

  #combine(
    kind: "or" | "and",
    parts: readonly Expression[],
    neutral: Expression,
    dominant: Expression,
  ): Expression {
    this.#spend(parts.length / 8);
    const flat = new Set(
      parts
        .flatMap((part) => (part.kind === kind ? part.parts : [part]))
        .filter((part) => part !== neutral),
    );
    if (flat.has(dominant)) return dominant;
    const sorted = [...flat].toSorted((a, b) => a.id - b.id);
    const [only = neutral] = sorted;
    if (sorted.length < 2) return only;
    const isNullable =
      kind === "or"
        ? sorted.some((part) => part.isNullable)
        : sorted.every((part) => part.isNullable);
    return this.#make(
      `${kind}${sorted.map(({ id }) => id).join(",")}`,
      isNullable,
      { kind, parts: sorted },
    );
  }

  not(part: Expression): Expression {
    if (part.kind === "not") return part.part;
    if (part === this.none) return this.all;
    if (part === this.all) return this.none;
    return this.#make(`!${part.id}`, !part.isNullable, { kind: "not", part });
  }

  repeat(part: Expression, min: number, max: number): Expression {
    if (max === 0 || part === this.empty) return this.empty;
    if (min === 1 && max === 1) return part;
    if (part === this.none) return min === 0 ? this.empty : this.none;
    // What may be empty can be so any number of times.
    const least = part.isNullable ? 0 : min;
    return this.#make(`*${part.id},${least},${max}`, least === 0, {
      kind: "repeat",
      part,
      min: least,
      max,
    });
  }

  text(text: string): Expression {
    return Array.from(text)
      .toReversed()
      .reduce((rest, char) => {
        const code = char.codePointAt(0) ?? 0;
        return this.sequence(this.chars([[code, code]]), rest);
      }, this.empty);
  }

  derivative(of: Expression, codePoint: number): Expression {
    if (of.kind === "chars")
      return includes(of.set, codePoint) ? this.empty : this.none;
    const key = `${of.id}:${codePoint}`;
    let derived = this.#derived.get(key);
    if (derived === undefined) {
      this.#spend(1);
      derived = this.#derive(of, codePoint);
      this.#derived.set(key, derived);
    }
    return derived;
  }

  #derive(of: Expression, codePoint: number): Expression {
    const by = (part: Expression): Expression =>
      this.derivative(part, codePoint);
    switch (of.kind) {
      case "then": {
        const first = this.sequence(by(of.first), of.second);
        return of.first.isNullable ? this.or(first, by(of.second)) : first;
      }
      case "or":
        return this.or(...of.parts.map(by));
      case "and":
        return this.and(...of.parts.map(by));
      case "not":
        return this.not(by(of.part));
      case "repeat":
        return this.sequence(
          by(of.part),
          this.repeat(of.part, Math.max(0, of.min - 1), of.max - 1),
        );
      default:
        return this.none;
    }
  }

  /** Code points at which the derivative may become another one. */
  edges(of: Expression): ReadonlySet<number> {
    const known = this.#edges.get(of);
    if (known !== undefined) return known;
    const edges = new Set<number>();
    const take = (part: Expression): void => {
      for (const edge of this.edges(part)) edges.add(edge);
    };
    if (of.kind === "chars")
      for (const [first, last] of of.set) edges.add(first).add(last + 1);
    else if (of.kind === "then") {
      take(of.first);
      if (of.first.isNullable) take(of.second);
    } else if (of.kind === "or" || of.kind === "and")
      for (const part of of.parts) take(part);
    else if (of.kind === "not" || of.kind === "repeat") take(of.part);
    this.#edges.set(of, edges);
    return edges;
  }
}
