/** Two sets of keywords that must both hold, as one. */
import { TYPES, type JsonType, type Keywords } from "./schema-keywords.ts";

/** Undefined if nothing can fulfil both. */
export function mergeKeywords(a: Keywords, b: Keywords): Keywords | undefined {
  const types = bothTypes(a.types, b.types);
  const values = bothValues(a.values, b.values);
  if (types?.length === 0 || values?.length === 0) return undefined;
  const properties = bothProperties(a, b);
  return {
    path: a.path,
    ...(types && { types }),
    ...(values && { values }),
    ...(properties && { properties }),
    required: [...new Set([...a.required, ...b.required])],
    ...both("additionalProperties", a, b),
    ...both("propertyNames", a, b),
    prefixItems: bothPrefixes(a, b),
    ...both("items", a, b),
    ...bound("minItems", Math.max, a, b),
    ...bound("maxItems", Math.min, a, b),
    patterns: [...new Set([...a.patterns, ...b.patterns])],
    formats: [...new Set([...a.formats, ...b.formats])],
    ...bound("minLength", Math.max, a, b),
    ...bound("maxLength", Math.min, a, b),
    ...bound("minimum", Math.max, a, b),
    ...bound("maximum", Math.min, a, b),
    ...bound("exclusiveMinimum", Math.max, a, b),
    ...bound("exclusiveMaximum", Math.min, a, b),
  };
}

/** An integer is a number. */
export function bothTypes(
  a: readonly JsonType[] | undefined,
  b: readonly JsonType[] | undefined,
): readonly JsonType[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return TYPES.filter((type) => includesType(a, type) && includesType(b, type));
}

export function includesType(
  types: readonly JsonType[],
  type: JsonType,
): boolean {
  return (
    types.includes(type) || (type === "integer" && types.includes("number"))
  );
}

function bothValues(
  a: readonly unknown[] | undefined,
  b: readonly unknown[] | undefined,
): readonly unknown[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const inB = new Set(b.map(canonical));
  return a.filter((value) => inB.has(canonical(value)));
}

/** Equal for equal values: the keys of objects are in order. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(
          Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)),
        )
      : inner,
  );
}

/** A property that only one side names must fulfil what the other says about additional ones. */
function bothProperties(
  a: Keywords,
  b: Keywords,
): ReadonlyMap<string, unknown> | undefined {
  if (a.properties === undefined && b.properties === undefined)
    return undefined;
  const names = [
    ...(a.properties ?? new Map()),
    ...(b.properties ?? new Map()),
  ].map(([name]) => name as string);
  return new Map(
    names.map((name) => [name, together(sayOf(a, name), sayOf(b, name))]),
  );
}

function sayOf(keywords: Keywords, name: string): unknown {
  const { properties, additionalProperties } = keywords;
  return properties?.has(name) ? properties.get(name) : additionalProperties;
}

function bothPrefixes(a: Keywords, b: Keywords): unknown[] {
  const length = Math.max(a.prefixItems.length, b.prefixItems.length);
  return Array.from({ length }, (_, index) =>
    together(itemAt(a, index), itemAt(b, index)),
  );
}

function itemAt({ prefixItems, items }: Keywords, index: number): unknown {
  return index < prefixItems.length ? prefixItems[index] : items;
}

/** One schema that asks for both; a missing one asks for nothing. */
function together(a: unknown, b: unknown): unknown {
  if (a === undefined || a === true) return b ?? a ?? true;
  if (b === undefined || b === true) return a;
  if (a === false || b === false) return false;
  return { allOf: [a, b] };
}

function both<K extends "additionalProperties" | "propertyNames" | "items">(
  keyword: K,
  a: Keywords,
  b: Keywords,
): Pick<Keywords, K> | undefined {
  if (a[keyword] === undefined && b[keyword] === undefined) return undefined;
  return { [keyword]: together(a[keyword], b[keyword]) } as Pick<Keywords, K>;
}

type Bound =
  | "minItems"
  | "maxItems"
  | "minLength"
  | "maxLength"
  | "minimum"
  | "maximum"
  | "exclusiveMinimum"
  | "exclusiveMaximum";

function bound<K extends Bound>(
  keyword: K,
  choose: (a: number, b: number) => number,
  a: Keywords,
  b: Keywords,
): Pick<Keywords, K> | undefined {
  const [x, y] = [a[keyword], b[keyword]];
  if (x === undefined && y === undefined) return undefined;
  const value = x === undefined || y === undefined ? (x ?? y) : choose(x, y);
  return { [keyword]: value } as Pick<Keywords, K>;
}
