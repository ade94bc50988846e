import type { GrammarBuilder } from "./builder.ts";
import { repeat } from "./gbnf.ts";
import { jsonTextRule, textKeywords } from "./json-text.ts";
import type { Place } from "./schema-compiler.ts";
import { unsupported } from "./schema-errors.ts";
import type { Keywords } from "./schema-keywords.ts";

/** Each possible length of a bounded string is a rule in llama.cpp. */
const MAX_LENGTH = 20_000;

export function stringRule(
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
): string | undefined {
  const { path, patterns, formats, minLength = 0, maxLength } = keywords;
  if (minLength > MAX_LENGTH || (maxLength ?? 0) > MAX_LENGTH)
    throw unsupported(path, `a string of more than ${MAX_LENGTH} characters`);
  if (minLength > (maxLength ?? Infinity)) return undefined;
  if (patterns.length + formats.length > 0)
    return jsonTextRule(textKeywords(keywords), place.name, builder);
  if (minLength === 0 && maxLength === undefined)
    return builder.addJson("string");
  builder.addJson("space");
  const chars = repeat(builder.addJson("char"), minLength, maxLength);
  return builder.addRule(
    place.name,
    ['"\\""', chars, '"\\"" space'].filter((part) => part !== "").join(" "),
  );
}
