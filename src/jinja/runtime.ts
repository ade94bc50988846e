/** What filters, tests and methods need of the rendering that calls them. */
import type { Budget } from "./budget.ts";
import { fail } from "./errors.ts";
import { bind, type Bound, type Signature } from "./signature.ts";
import {
  isInt,
  typeName,
  unmarked,
  type Arguments,
  type Value,
} from "./values.ts";

export interface Runtime {
  budget: Budget;
  now: Date;
  /** 0 to 1, below 1. */
  random: () => number;
  attribute(of: Value, name: string): Value;
  item(of: Value, key: Value): Value;
  hasFilter(name: string): boolean;
  hasTest(name: string): boolean;
  filter(name: string, value: Value, given: Arguments): Value;
  test(name: string, value: Value, given: Arguments): boolean;
}

/** A filter or a method: a function of a value and arguments. */
export type Operation = (
  runtime: Runtime,
  value: Value,
  given: Arguments,
) => Value;

export type Operations = ReadonlyMap<string, Operation>;

/** An entry of a table of filters: its arguments are bound to these parameters. */
export function operation<S extends Signature>(
  name: string,
  signature: S,
  run: (runtime: Runtime, value: Value, args: Bound<S>) => Value,
): [string, Operation] {
  return [
    name,
    (runtime, value, given) =>
      run(runtime, value, bind(name, signature, given)),
  ];
}

export function textArgument(value: Value, what: string): string {
  const text = unmarked(value);
  if (typeof text === "string") return text;
  return fail(`${what} must be str, not ${typeName(value)}`);
}

export function intArgument(value: Value, what: string): number {
  if (isInt(value)) return Number(value);
  return fail(`${what} must be an integer, not ${typeName(value)}`);
}
