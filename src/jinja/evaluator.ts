/** Expressions to values. */
import { Budget, Sink } from "./budget.ts";
import { fail } from "./errors.ts";
import { TESTS, unknownTest } from "./jinja-tests.ts";
import { LIST_FILTERS } from "./list-filters.ts";
import { attributeOf, sliceOf, subscriptOf, type Bounds } from "./lookups.ts";
import { arithmetic, compare, listOf, signed } from "./operators.ts";
import { textOf } from "./printing.ts";
import type { Operation, Runtime } from "./runtime.ts";
import type { Scope } from "./scope.ts";
import type { CallArguments, Expression } from "./syntax.ts";
import { TEXT_FILTERS } from "./text-filters.ts";
import {
  Callable,
  Dict,
  isTrue,
  Markup,
  Tuple,
  typeName,
  Undefined,
  unmarked,
  type Arguments,
  type Value,
} from "./values.ts";

const FILTERS: ReadonlyMap<string, Operation> = new Map([
  ...TEXT_FILTERS,
  ...LIST_FILTERS,
]);

/** These see that a text is marked. */
const TAKING_MARKUP = new Set("e escape default d string".split(" "));
/** These give a marked text for a marked text. */
const KEEPING_MARKUP = new Set(
  "upper lower capitalize trim center indent truncate reverse last".split(" "),
);

export interface RenderContext {
  variables: ReadonlyMap<string, Value>;
  now: Date;
  random: () => number;
}

export class Evaluator implements Runtime {
  readonly budget = new Budget();
  readonly now: Date;
  readonly random: () => number;

  constructor({ now, random }: RenderContext) {
    this.now = now;
    this.random = random;
  }

  attribute(of: Value, name: string): Value {
    return attributeOf(this, of, name);
  }

  item(of: Value, key: Value): Value {
    return subscriptOf(this, of, key);
  }

  hasFilter(name: string): boolean {
    return FILTERS.has(name);
  }

  hasTest(name: string): boolean {
    return TESTS.has(name);
  }

  filter(name: string, value: Value, given: Arguments): Value {
    this.budget.step();
    const filter = FILTERS.get(name);
    if (filter === undefined) fail(`there is no filter named '${name}'`);
    if (!(value instanceof Markup) || TAKING_MARKUP.has(name)) {
      return filter(this, value, given);
    }
    const result = filter(this, value.text, given);
    const isText = typeof result === "string" && KEEPING_MARKUP.has(name);
    return isText ? new Markup(result) : result;
  }

  test(name: string, value: Value, given: Arguments): boolean {
    this.budget.step();
    const test = TESTS.get(name) ?? unknownTest(name);
    return test(this, name === "escaped" ? value : unmarked(value), given);
  }

  call(callee: Value, given: Arguments): Value {
    if (callee instanceof Undefined) callee.fail();
    if (!(callee instanceof Callable)) {
      fail(`'${typeName(callee)}' object is not callable`);
    }
    return this.budget.nested(() => callee.call(given));
  }

  evaluate(node: Expression, scope: Scope): Value {
    this.budget.step();
    switch (node.kind) {
      case "value":
        return node.value;
      case "name": {
        const value = scope.get(node.name);
        return value === undefined
          ? new Undefined(`'${node.name}' is undefined`)
          : value;
      }
      case "list":
        return this.#all(node.items, scope);
      case "tuple":
        return new Tuple(this.#all(node.items, scope));
      case "dict":
        return new Dict(
          node.items.map(
            ([key, value]) =>
              [this.evaluate(key, scope), this.evaluate(value, scope)] as const,
          ),
        );
      case "if":
        if (isTrue(this.evaluate(node.test, scope))) {
          return this.evaluate(node.yes, scope);
        }
        return node.no === undefined
          ? new Undefined("an inline if without else gave no value")
          : this.evaluate(node.no, scope);
      case "and": {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? this.evaluate(node.right, scope) : left;
      }
      case "or": {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? left : this.evaluate(node.right, scope);
      }
      case "not":
        return !isTrue(this.evaluate(node.value, scope));
      case "sign":
        return signed(node.sign, this.evaluate(node.value, scope));
      case "compare":
        return this.#compared(node, scope);
      case "concat":
        return this.#concatenated(this.#all(node.items, scope));
      case "math": {
        const left = this.evaluate(node.left, scope);
        const right = this.evaluate(node.right, scope);
        return arithmetic(node.operator, left, right, this.budget);
      }
      case "attribute":
        return this.attribute(this.evaluate(node.of, scope), node.name);
      case "item": {
        const of = this.evaluate(node.of, scope);
        return this.item(of, this.evaluate(node.key, scope));
      }
      case "slice": {
        const of = this.evaluate(node.of, scope);
        const bounds = node.bounds.map((bound) =>
          bound === undefined ? undefined : this.evaluate(bound, scope),
        );
        return sliceOf(of, bounds as unknown as Bounds, this.budget);
      }
      case "call": {
        const callee = this.evaluate(node.callee, scope);
        return this.call(callee, this.given(node.call, scope));
      }
      case "filter": {
        const value = this.evaluate(node.value, scope);
        const { name, call } = node.filter;
        return this.filter(name, value, this.given(call, scope));
      }
      default: {
        const value = this.evaluate(node.value, scope);
        return this.test(node.name, value, this.given(node.call, scope));
      }
    }
  }

  #all(nodes: readonly Expression[], scope: Scope): Value[] {
    return nodes.map((node) => this.evaluate(node, scope));
  }

  #compared(
    { first, rest }: Extract<Expression, { kind: "compare" }>,
    scope: Scope,
  ): boolean {
    let left = this.evaluate(first, scope);
    return rest.every(([operator, node]) => {
      const right = this.evaluate(node, scope);
      const isSo = compare(operator, left, right, this.budget);
      left = right;
      return isSo;
    });
  }

  #concatenated(values: readonly Value[]): string {
    const sink = new Sink();
    for (const value of values) sink.write(textOf(value));
    const { text } = sink;
    this.budget.chars(text.length);
    return text;
  }

  given(call: CallArguments, scope: Scope): Arguments {
    const args = this.#all(call.args, scope);
    const named = new Map<string, Value>();
    for (const [name, node] of call.named) {
      if (named.has(name)) fail(`two values for '${name}'`);
      named.set(name, this.evaluate(node, scope));
    }
    if (call.rest !== undefined) {
      args.push(...listOf(this.evaluate(call.rest, scope), this.budget));
    }
    if (call.restNamed !== undefined) {
      const dict = this.evaluate(call.restNamed, scope);
      if (!(dict instanceof Dict)) fail("** needs a mapping");
      for (const [key, value] of dict.entries()) {
        if (typeof key !== "string") fail("keywords must be strings");
        if (named.has(key)) fail(`two values for '${key}'`);
        named.set(key, value);
      }
    }
    return { args, named };
  }
}
