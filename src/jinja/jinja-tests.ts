/** Jinja's tests: `x is defined`. */
import { fail } from "./errors.ts";
import { arithmetic, compare, isEqual, isIterable } from "./operators.ts";
import { textOf } from "./printing.ts";
import { bind, REQUIRED } from "./signature.ts";
import type { Runtime } from "./runtime.ts";
import { isLower, isUpper } from "./string-methods.ts";
import {
  Callable,
  Dict,
  isNumber,
  Markup,
  Range,
  Tuple,
  Undefined,
  type Arguments,
  type Value,
} from "./values.ts";

export type JinjaTest = (
  runtime: Runtime,
  value: Value,
  given: Arguments,
) => boolean;

const one = (
  name: string,
  test: (value: Value, runtime: Runtime) => boolean,
): [string, JinjaTest] => [
  name,
  (runtime, value, given) => {
    bind(name, {}, given);
    return test(value, runtime);
  },
];

const two = (
  name: string,
  test: (value: Value, other: Value, runtime: Runtime) => boolean,
): [string, JinjaTest] => [
  name,
  (runtime, value, given) =>
    test(value, bind(name, { other: REQUIRED }, given).other, runtime),
];

const comparison = (operator: string, ...names: string[]) =>
  names.map((name) =>
    two(name, (a, b, { budget }) => compare(operator, a, b, budget)),
  );

const modulo = (value: Value, by: Value, { budget }: Runtime): Value =>
  arithmetic("%", value, by, budget);

export const TESTS: ReadonlyMap<string, JinjaTest> = new Map([
  ...comparison("==", "==", "eq", "equalto"),
  ...comparison("!=", "!=", "ne"),
  ...comparison("<", "<", "lt", "lessthan"),
  ...comparison("<=", "<=", "le"),
  ...comparison(">", ">", "gt", "greaterthan"),
  ...comparison(">=", ">=", "ge"),
  ...comparison("in", "in"),
  one("boolean", (value) => typeof value === "boolean"),
  one(
    "callable",
    (value) => value instanceof Callable || value instanceof Undefined,
  ),
  one("defined", (value) => !(value instanceof Undefined)),
  two("divisibleby", (value, by, runtime) =>
    isEqual(modulo(value, by, runtime), 0n),
  ),
  one("escaped", (value) => value instanceof Markup),
  one("even", (value, runtime) => isEqual(modulo(value, 2n, runtime), 0n)),
  one("false", (value) => value === false),
  one("filter", (value, runtime) => runtime.hasFilter(textOf(value))),
  one("float", (value) => typeof value === "number"),
  one("integer", (value) => typeof value === "bigint"),
  one("iterable", isIterable),
  one("lower", (value) => isLower(textOf(value))),
  one("mapping", (value) => value instanceof Dict),
  one("none", (value) => value === null),
  one("number", isNumber),
  one("odd", (value, runtime) => isEqual(modulo(value, 2n, runtime), 1n)),
  two("sameas", (value, other) => value === other),
  one(
    "sequence",
    (value) =>
      typeof value === "string" ||
      Array.isArray(value) ||
      value instanceof Tuple ||
      value instanceof Dict ||
      value instanceof Range ||
      value instanceof Undefined,
  ),
  one("string", (value) => typeof value === "string"),
  one("test", (value, runtime) => runtime.hasTest(textOf(value))),
  one("true", (value) => value === true),
  one("undefined", (value) => value instanceof Undefined),
  one("upper", (value) => isUpper(textOf(value))),
]);

export function unknownTest(name: string): never {
  return fail(`there is no test named '${name}'`);
}
