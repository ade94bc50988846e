/** Expressions, by the rules and precedences of Jinja2's parser. */
import { JinjaSyntaxError } from "./errors.ts";
import type { Token } from "./lexer.ts";
import type { CallArguments, Expression, FilterUse } from "./syntax.ts";

/** Expressions and statements within each other: real templates have under thirty. */
const MAX_NESTING = 250;

const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);
const CONSTANTS: ReadonlyMap<string, null | boolean> = new Map([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);
export const NO_ARGUMENTS: CallArguments = Object.freeze({
  args: [],
  named: [],
  rest: undefined,
  restNamed: undefined,
});

export class ExpressionParser {
  #tokens: Token[];
  #next = 0;
  #nesting = 0;
  /** For each macro around: the names it uses. */
  protected usedNames: Set<string>[] = [];

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  protected get current(): Token {
    return this.#tokens[this.#next] ?? END;
  }

  protected advance(): Token {
    const token = this.current;
    this.#next++;
    return token;
  }

  protected isNext(type: "symbol" | "name", value: string, ahead = 0): boolean {
    const token = this.#tokens[this.#next + ahead];
    return token?.type === type && token.value === value;
  }

  protected skip(type: "symbol" | "name", value: string): boolean {
    const found = this.isNext(type, value);
    if (found) this.advance();
    return found;
  }

  protected expect(type: "symbol" | "name", value: string): void {
    if (!this.skip(type, value)) throw this.unexpected(`"${value}"`);
  }

  protected expectName(): string {
    const { current } = this;
    if (current.type !== "name") throw this.unexpected("a name");
    this.advance();
    return current.value;
  }

  protected unexpected(wanted?: string): JinjaSyntaxError {
    const { current } = this;
    const seen = current.value === "" ? current.type : `"${current.value}"`;
    const instead = wanted === undefined ? "" : ` in place of ${wanted}`;
    return this.error(`unexpected ${seen}${instead}`);
  }

  protected error(what: string): JinjaSyntaxError {
    return new JinjaSyntaxError(what, this.current.line);
  }

  protected nested<T>(parse: () => T): T {
    if (++this.#nesting > MAX_NESTING) throw this.error("nested too deep");
    const result = parse();
    this.#nesting--;
    return result;
  }

  protected expression(): Expression {
    return this.nested(() => {
      let value = this.#or();
      while (this.skip("name", "if")) {
        const test = this.#or();
        value = this.skip("name", "else")
          ? { kind: "if", test, yes: value, no: this.expression() }
          : { kind: "if", test, yes: value };
      }
      return value;
    });
  }

  /** Expressions with commas between are a tuple. `parse` reads one. */
  protected tuple(
    isEnd: () => boolean,
    parse = () => this.expression(),
    mayBeEmpty = false,
  ): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.expect("symbol", ",");
      if (isEnd()) break;
      items.push(parse());
      if (!this.isNext("symbol", ",")) break;
      isTuple = true;
    }
    const [only] = items;
    if (!isTuple && only !== undefined) return only;
    if (!isTuple && !mayBeEmpty) throw this.unexpected("an expression");
    return { kind: "tuple", items };
  }

  /** An expression that may be a tuple but has no `if` of its own: `for … in …`, `if …`. */
  protected tupleWithoutIf(isEnd = () => this.isTupleEnd()): Expression {
    return this.tuple(isEnd, () => this.nested(() => this.#or()));
  }

  protected isTupleEnd(): boolean {
    const { type, value } = this.current;
    if (type === "end print" || type === "end block") return true;
    return type === "symbol" && value === ")";
  }

  #or(): Expression {
    let left = this.#and();
    while (this.skip("name", "or")) {
      left = { kind: "or", left, right: this.#and() };
    }
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.skip("name", "and")) {
      left = { kind: "and", left, right: this.#not() };
    }
    return left;
  }

  #not(): Expression {
    if (!this.skip("name", "not")) return this.#comparison();
    return this.nested(() => ({ kind: "not", value: this.#not() }));
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: [string, Expression][] = [];
    for (;;) {
      const operator = this.#comparisonOperator();
      if (operator === undefined) break;
      rest.push([operator, this.#sum()]);
    }
    return rest.length === 0 ? first : { kind: "compare", first, rest };
  }

  #comparisonOperator(): string | undefined {
    const { current } = this;
    if (current.type === "symbol" && COMPARISONS.has(current.value)) {
      this.advance();
      return current.value;
    }
    if (this.skip("name", "in")) return "in";
    if (this.isNext("name", "not") && this.isNext("name", "in", 1)) {
      this.advance();
      this.advance();
      return "not in";
    }
    return undefined;
  }

  #sum(): Expression {
    return this.#math(["+", "-"], () => this.#concat());
  }

  #concat(): Expression {
    const product = (): Expression =>
      this.#math(["*", "/", "//", "%"], () =>
        this.#math(["**"], () => this.#unary(true)),
      );
    const items = [product()];
    while (this.skip("symbol", "~")) items.push(product());
    const [only] = items;
    return items.length === 1 && only !== undefined
      ? only
      : { kind: "concat", items };
  }

  #math(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((one) => this.isNext("symbol", one));
      if (operator === undefined) return left;
      this.advance();
      left = { kind: "math", operator, left, right: operand() };
    }
  }

  #unary(withFilters: boolean): Expression {
    let value: Expression;
    const sign = (["-", "+"] as const).find((one) => this.skip("symbol", one));
    if (sign === undefined) value = this.primary();
    else {
      const inner = this.nested(() => this.#unary(false));
      value = { kind: "sign", sign, value: inner };
    }
    value = this.#postfix(value);
    return withFilters ? this.#filtersAndTests(value) : value;
  }

  protected primary(): Expression {
    const token = this.advance();
    switch (token.type) {
      case "name": {
        const constant = CONSTANTS.get(token.value);
        if (constant !== undefined) return { kind: "value", value: constant };
        for (const names of this.usedNames) names.add(token.value);
        return { kind: "name", name: token.value };
      }
      case "string": {
        let text = token.value;
        for (;;) {
          const { current } = this;
          if (current.type !== "string") return { kind: "value", value: text };
          text += current.value;
          this.advance();
        }
      }
      case "integer":
      case "float":
        return { kind: "value", value: token.value };
      case "symbol":
        if (token.value === "(") return this.#parenthesis();
        if (token.value === "[") {
          return {
            kind: "list",
            items: this.#listed("]", () => this.expression()),
          };
        }
        if (token.value === "{") return this.#dict();
        break;
      default:
    }
    this.#next--;
    throw this.unexpected("an expression");
  }

  #parenthesis(): Expression {
    const end = () => this.isTupleEnd();
    const value = this.tuple(end, () => this.expression(), true);
    this.expect("symbol", ")");
    return value;
  }

  #dict(): Expression {
    const items = this.#listed("}", (): [Expression, Expression] => {
      const key = this.expression();
      this.expect("symbol", ":");
      return [key, this.expression()];
    });
    return { kind: "dict", items };
  }

  #listed<T>(close: string, parse: () => T): T[] {
    const items: T[] = [];
    while (!this.isNext("symbol", close)) {
      if (items.length > 0) this.expect("symbol", ",");
      if (this.isNext("symbol", close)) break;
      items.push(parse());
    }
    this.expect("symbol", close);
    return items;
  }

  #postfix(start: Expression): Expression {
    let value = start;
    for (;;) {
      if (this.skip("symbol", ".")) value = this.#attribute(value);
      else if (this.skip("symbol", "[")) value = this.#subscript(value);
      else if (this.isNext("symbol", "(")) {
        value = { kind: "call", callee: value, call: this.callArguments() };
      } else return value;
    }
  }

  #attribute(of: Expression): Expression {
    const token = this.advance();
    if (token.type === "name")
      return { kind: "attribute", of, name: token.value };
    if (token.type !== "integer") throw this.error("no name behind a dot");
    return { kind: "item", of, key: { kind: "value", value: token.value } };
  }

  #subscript(of: Expression): Expression {
    const isColon = (): boolean => this.isNext("symbol", ":");
    const first = isColon()
      ? undefined
      : this.tuple(() => this.isNext("symbol", "]"));
    if (!isColon()) {
      this.expect("symbol", "]");
      if (first === undefined) throw this.unexpected("an expression");
      return { kind: "item", of, key: first };
    }
    const bounds = [first];
    while (this.skip("symbol", ":") && bounds.length < 3) {
      const isEmpty = isColon() || this.isNext("symbol", "]");
      bounds.push(isEmpty ? undefined : this.expression());
    }
    this.expect("symbol", "]");
    return { kind: "slice", of, bounds };
  }

  #filtersAndTests(start: Expression): Expression {
    let value = start;
    for (;;) {
      if (this.skip("symbol", "|")) {
        value = { kind: "filter", value, filter: this.filter() };
      } else if (this.skip("name", "is")) value = this.#test(value);
      else if (this.isNext("symbol", "(")) {
        value = { kind: "call", callee: value, call: this.callArguments() };
      } else return value;
    }
  }

  /** What follows a "|". */
  protected filter(): FilterUse {
    const name = this.#dottedName();
    const isCall = this.isNext("symbol", "(");
    return { name, call: isCall ? this.callArguments() : NO_ARGUMENTS };
  }

  #dottedName(): string {
    let name = this.expectName();
    while (this.skip("symbol", ".")) name += `.${this.expectName()}`;
    return name;
  }

  #test(value: Expression): Expression {
    const isNot = this.skip("name", "not");
    const name = this.#dottedName();
    let call = NO_ARGUMENTS;
    if (this.isNext("symbol", "(")) call = this.callArguments();
    else if (this.#beginsTestArgument()) {
      if (this.isNext("name", "is")) throw this.error("a test of a test");
      call = { ...NO_ARGUMENTS, args: [this.#postfix(this.primary())] };
    }
    const test: Expression = { kind: "test", value, name, call };
    return isNot ? { kind: "not", value: test } : test;
  }

  #beginsTestArgument(): boolean {
    const { type, value } = this.current;
    if (type === "name") return !["else", "or", "and"].includes(value);
    if (type === "symbol") return value === "[" || value === "{";
    return type === "string" || type === "integer" || type === "float";
  }

  protected callArguments(): CallArguments {
    this.expect("symbol", "(");
    const call: CallArguments = { ...NO_ARGUMENTS, args: [], named: [] };
    let isFirst = true;
    while (!this.isNext("symbol", ")")) {
      if (!isFirst) this.expect("symbol", ",");
      if (this.isNext("symbol", ")")) break;
      isFirst = false;
      this.#argument(call);
    }
    this.expect("symbol", ")");
    return call;
  }

  #argument(call: CallArguments): void {
    const isLate = call.restNamed !== undefined;
    if (this.skip("symbol", "**")) {
      if (isLate) throw this.unexpected();
      call.restNamed = this.expression();
    } else if (this.skip("symbol", "*")) {
      if (isLate || call.rest !== undefined) throw this.unexpected();
      call.rest = this.expression();
    } else if (
      this.current.type === "name" &&
      this.isNext("symbol", "=", 1) &&
      !isLate
    ) {
      const name = this.expectName();
      this.advance();
      call.named.push([name, this.expression()]);
    } else if (isLate || call.rest !== undefined || call.named.length > 0) {
      throw this.error("a positional argument behind others");
    } else call.args.push(this.expression());
  }
}

const END: Token = { type: "end", value: "", line: 0 };
