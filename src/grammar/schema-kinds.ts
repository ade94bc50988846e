/** A rule for each kind of value. */
import type { GrammarBuilder } from "./builder.ts";
import { textJudge } from "./json-text.ts";
import { arrayRule } from "./schema-array.ts";
import type { Place } from "./schema-compiler.ts";
import { typeOf } from "./schema-disjoint.ts";
import { unsupported } from "./schema-errors.ts";
import type { JsonType, Keywords } from "./schema-keywords.ts";
import { includesType } from "./schema-merge.ts";
import { numberRule } from "./schema-number.ts";
import { objectRule } from "./schema-object.ts";
import { stringRule } from "./schema-string.ts";

/** Gives the symbol for a schema further in, or nothing where no value fulfils it. */
export type Visit = (schema: unknown, place: Place) => string | undefined;

/** The symbol for what `keywords` ask, or nothing where no value fulfils them. */
export function kindRule(
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
  visit: Visit,
): string | undefined {
  if (keywords.values !== undefined)
    return valuesRule(keywords.values, keywords, place, builder);
  const types = keywords.types ?? impliedTypes(keywords);
  if (types.length === 0) return builder.addJson("value");
  const rules = types
    .filter((type) => type !== "integer" || !types.includes("number"))
    .map((type, _, all) => {
      const own =
        all.length === 1 ? place : { ...place, name: `${place.name}-${type}` };
      return typeRule(type, keywords, own, builder, visit);
    })
    .filter((rule) => rule !== undefined);
  if (rules.length < 2) return rules[0];
  return builder.addRule(place.name, rules.join(" | "));
}

function typeRule(
  type: JsonType,
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
  visit: Visit,
): string | undefined {
  switch (type) {
    case "object":
      return objectRule(keywords, place, builder, visit);
    case "array":
      return arrayRule(keywords, place, builder, visit);
    case "string":
      return stringRule(keywords, place, builder);
    case "number":
    case "integer":
      return numberRule(type, keywords, place, builder);
    default:
      return builder.addJson(type);
  }
}

/** JSON schema lets a keyword pass for values of other kinds; whoever writes "minLength" means a string. */
function impliedTypes(keywords: Keywords): JsonType[] {
  const k = keywords;
  const types: JsonType[] = [];
  if (
    k.required.length > 0 ||
    some(k.properties, k.additionalProperties, k.propertyNames)
  )
    types.push("object");
  if (k.prefixItems.length > 0 || some(k.items, k.minItems, k.maxItems))
    types.push("array");
  if (
    k.patterns.length + k.formats.length > 0 ||
    some(k.minLength, k.maxLength)
  )
    types.push("string");
  if (some(k.minimum, k.maximum, k.exclusiveMinimum, k.exclusiveMaximum))
    types.push("number");
  return types;
}

/** The values of `enum` and `const` that the other keywords allow. */
function valuesRule(
  values: readonly unknown[],
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
): string | undefined {
  const allowsText = textJudge(keywords, builder.budget);
  const texts = values
    .filter((value) =>
      typeof value === "string"
        ? allowsType(keywords, "string") && allowsText(value)
        : allows(keywords, value),
    )
    .map((value) => JSON.stringify(value));
  if (texts.length === 0) return undefined;
  builder.addJson("space");
  return builder.addChoice(place.name, texts, "space");
}

function allowsType({ types }: Keywords, type: JsonType): boolean {
  return types === undefined || includesType(types, type);
}

function some(...values: unknown[]): boolean {
  return values.some((value) => value !== undefined);
}

function allows(keywords: Keywords, value: unknown): boolean {
  const type = typeOf(value);
  if (!allowsType(keywords, type)) return false;
  if (typeof value === "number") return isWithin(value, keywords);
  if (type === "object" || type === "array") {
    const { types: _, values, ...others } = keywords;
    if (values !== undefined && impliedTypes(others).includes(type))
      throw unsupported(
        keywords.path,
        `more than a type beside an ${type} in "enum" or "const"`,
      );
  }
  return true;
}

function isWithin(value: number, k: Keywords): boolean {
  return (
    value >= (k.minimum ?? -Infinity) &&
    value <= (k.maximum ?? Infinity) &&
    value > (k.exclusiveMinimum ?? -Infinity) &&
    value < (k.exclusiveMaximum ?? Infinity)
  );
}
