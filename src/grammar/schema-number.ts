import type { GrammarBuilder } from "./builder.ts";
import { integersBetween } from "./ranges.ts";
import type { Place } from "./schema-compiler.ts";
import { unsupported } from "./schema-errors.ts";
import type { Keywords } from "./schema-keywords.ts";

export function numberRule(
  type: "number" | "integer",
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
): string | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = keywords;
  const bounds = [minimum, maximum, exclusiveMinimum, exclusiveMaximum];
  if (bounds.every((bound) => bound === undefined))
    return builder.addJson(type);
  if (type === "number") throw unsupported(keywords.path, "bounds of a number");
  const range = integersBetween(
    largest(
      minimum === undefined ? undefined : BigInt(Math.ceil(minimum)),
      exclusiveMinimum === undefined
        ? undefined
        : BigInt(Math.floor(exclusiveMinimum)) + 1n,
    ),
    smallest(
      maximum === undefined ? undefined : BigInt(Math.floor(maximum)),
      exclusiveMaximum === undefined
        ? undefined
        : BigInt(Math.ceil(exclusiveMaximum)) - 1n,
    ),
  );
  if (range === undefined) return undefined;
  builder.addJson("space");
  return builder.addRule(place.name, `${range} space`);
}

function largest(a?: bigint, b?: bigint): bigint | undefined {
  return a === undefined || b === undefined ? (a ?? b) : a > b ? a : b;
}

function smallest(a?: bigint, b?: bigint): bigint | undefined {
  return a === undefined || b === undefined ? (a ?? b) : a < b ? a : b;
}
