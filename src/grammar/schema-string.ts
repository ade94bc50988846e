import type { GrammarBuilder } from "./builder.ts";
import { repeat } from "./gbnf.ts";
import type { Place } from "./schema-compiler.ts";
import { below, unsupported } from "./schema-errors.ts";
import type { Keywords } from "./schema-keywords.ts";

/** Each possible length of a bounded string is a rule in llama.cpp. */
const MAX_LENGTH = 20_000;

export function stringRule(
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
): string | undefined {
  const { path, patterns, minLength = 0, maxLength } = keywords;
  if (patterns.length > 0)
    throw unsupported(below(path, "pattern"), '"pattern" is not supported');
  if (minLength > MAX_LENGTH || (maxLength ?? 0) > MAX_LENGTH)
    throw unsupported(path, `a string of more than ${MAX_LENGTH} characters`);
  if (minLength > (maxLength ?? Infinity)) return undefined;
  if (minLength === 0 && maxLength === undefined)
    return builder.addJson("string");
  builder.addJson("space");
  const chars = repeat(builder.addJson("char"), minLength, maxLength);
  return builder.addRule(
    place.name,
    ['"\\""', chars, '"\\"" space'].filter((part) => part !== "").join(" "),
  );
}
