/** Python's way of giving arguments to the parameters of a function. */
import { fail } from "./errors.ts";
import type { Arguments, Value } from "./values.ts";

/** A parameter without default. */
export const REQUIRED = Symbol("required");

/** Names in their order, with their defaults. */
export type Signature = Readonly<Record<string, Value | typeof REQUIRED>>;

export type Bound<S extends Signature> = { readonly [K in keyof S]: Value };

export function bind<S extends Signature>(
  name: string,
  signature: S,
  { args, named }: Arguments,
): Bound<S> {
  const parameters = Object.entries(signature);
  if (args.length > parameters.length) {
    fail(`${name}() takes at most ${parameters.length} arguments`);
  }
  const bound: Record<string, Value> = Object.create(null) as Record<
    string,
    Value
  >;
  for (const [i, [parameter, otherwise]] of parameters.entries()) {
    const positional = args[i];
    const byName = named.get(parameter);
    if (positional !== undefined && byName !== undefined) {
      fail(`${name}() got two values for '${parameter}'`);
    }
    const given = positional === undefined ? byName : positional;
    const value = given === undefined ? otherwise : given;
    if (value === REQUIRED) fail(`${name}() lacks '${parameter}'`);
    bound[parameter] = value;
  }
  for (const key of named.keys()) {
    if (!Object.hasOwn(signature, key)) {
      fail(`${name}() has no parameter '${key}'`);
    }
  }
  return bound as Bound<S>;
}
