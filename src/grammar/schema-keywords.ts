/** A schema's keywords, checked: what constrains, what is refused, and what is only said about it. */
import { formatRegex } from "./formats.ts";
import { below, unsupported } from "./schema-errors.ts";

export const TYPES = [
  "object",
  "array",
  "string",
  "number",
  "integer",
  "boolean",
  "null",
] as const;
export type JsonType = (typeof TYPES)[number];

/** What a schema without `$ref`, `allOf`, `anyOf` and `oneOf` asks for. */
export interface Keywords {
  path: string;
  types?: readonly JsonType[];
  /** `const` is an `enum` of one. */
  values?: readonly unknown[];
  properties?: ReadonlyMap<string, unknown>;
  required: readonly string[];
  additionalProperties?: unknown;
  propertyNames?: unknown;
  prefixItems: readonly unknown[];
  items?: unknown;
  minItems?: number;
  maxItems?: number;
  patterns: readonly string[];
  formats: readonly string[];
  minLength?: number;
  maxLength?: number;
  /** With `exclusive…` as it is written. */
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Keywords that forbid something which no rule here forbids, and when they do. */
const REFUSED: Readonly<Record<string, (value: unknown) => boolean>> = {
  not: always,
  if: always,
  dependentRequired: always,
  dependentSchemas: always,
  dependencies: always,
  patternProperties: isNotEmpty,
  minProperties: (value) => value !== 0,
  maxProperties: always,
  unevaluatedItems: (value) => value !== true,
  unevaluatedProperties: (value) => value !== true && value !== false,
  contains: always,
  uniqueItems: (value) => value !== false,
  multipleOf: always,
  $dynamicRef: always,
  $recursiveRef: always,
};

function always(): boolean {
  return true;
}

function isNotEmpty(value: unknown): boolean {
  return !isObject(value) || Object.keys(value).length > 0;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws SCHEMA_UNSUPPORTED at the first keyword that is refused or malformed. */
export function readKeywords(schema: JsonObject, path: string): Keywords {
  for (const [keyword, refuses] of Object.entries(REFUSED)) {
    if (Object.hasOwn(schema, keyword) && refuses(schema[keyword]))
      throw unsupported(below(path, keyword), `"${keyword}" is not supported`);
  }
  const read = new Reader(schema, path);
  const prefixItems = read.prefixItems();
  return dropUndefined({
    path,
    types: read.types(),
    values: read.values(),
    properties: read.properties(),
    required: read.strings("required") ?? [],
    additionalProperties: schema.additionalProperties,
    propertyNames: schema.propertyNames,
    prefixItems,
    items: read.items(),
    minItems: read.count("minItems"),
    maxItems: read.count("maxItems"),
    patterns: read.texts("pattern"),
    // JSON schema takes a format for a remark, and so are those that are not known here.
    formats: read
      .texts("format")
      .filter((format) => formatRegex(format) !== undefined),
    minLength: read.count("minLength"),
    maxLength: read.count("maxLength"),
    ...read.bounds(),
  });
}

function dropUndefined(keywords: {
  [K in keyof Keywords]: Keywords[K] | undefined;
}): Keywords {
  return Object.fromEntries(
    Object.entries(keywords).filter(([, value]) => value !== undefined),
  ) as unknown as Keywords;
}

class Reader {
  #schema: JsonObject;
  #path: string;

  constructor(schema: JsonObject, path: string) {
    this.#schema = schema;
    this.#path = path;
  }

  #wrong(keyword: string, expected: string): Error {
    return unsupported(below(this.#path, keyword), `expected ${expected}`);
  }

  types(): JsonType[] | undefined {
    const { type, nullable } = this.#schema;
    if (type === undefined) return undefined;
    const listed = Array.isArray(type) ? type : [type];
    const types = listed.map((name) => {
      const known = TYPES.find((one) => one === name);
      if (known === undefined) throw this.#wrong("type", TYPES.join(", "));
      return known;
    });
    if (types.length === 0) throw this.#wrong("type", "at least one type");
    return nullable === true ? [...types, "null"] : types;
  }

  values(): readonly unknown[] | undefined {
    const { enum: listed } = this.#schema;
    if (Object.hasOwn(this.#schema, "const")) {
      if (listed !== undefined)
        throw this.#wrong("enum", 'no "enum" beside "const"');
      return [this.#schema.const];
    }
    if (listed === undefined) return undefined;
    if (!Array.isArray(listed) || listed.length === 0)
      throw this.#wrong("enum", "a list of values");
    return listed;
  }

  properties(): ReadonlyMap<string, unknown> | undefined {
    const { properties } = this.#schema;
    if (properties === undefined) return undefined;
    if (!isObject(properties)) throw this.#wrong("properties", "an object");
    return new Map(Object.entries(properties));
  }

  /** Before draft 2020-12 a list of `items` was what `prefixItems` is now. A single schema there is taken for `items`, as llama.cpp does. */
  prefixItems(): readonly unknown[] {
    const { items, prefixItems } = this.#schema;
    if (Array.isArray(prefixItems)) return prefixItems;
    return Array.isArray(items) ? items : [];
  }

  items(): unknown {
    const { items, prefixItems, additionalItems } = this.#schema;
    if (Array.isArray(items)) return additionalItems;
    if (items !== undefined) return items;
    return Array.isArray(prefixItems) ? undefined : prefixItems;
  }

  strings(keyword: string): readonly string[] | undefined {
    const value = this.#schema[keyword];
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.some((one) => typeof one !== "string"))
      throw this.#wrong(keyword, "a list of strings");
    return value as string[];
  }

  texts(keyword: string): string[] {
    const value = this.#schema[keyword];
    if (value === undefined) return [];
    if (typeof value !== "string") throw this.#wrong(keyword, "a string");
    return [value];
  }

  count(keyword: string): number | undefined {
    const value = this.#schema[keyword];
    if (value === undefined) return undefined;
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      throw this.#wrong(keyword, "a whole number, 0 or more");
    return value as number;
  }

  /** Draft 4 wrote `exclusiveMinimum: true` beside `minimum`. */
  bounds(): Pick<
    Keywords,
    "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum"
  > {
    const [minimum, exclusiveMinimum] = this.#bound(
      "minimum",
      "exclusiveMinimum",
    );
    const [maximum, exclusiveMaximum] = this.#bound(
      "maximum",
      "exclusiveMaximum",
    );
    return {
      ...(minimum !== undefined && { minimum }),
      ...(exclusiveMinimum !== undefined && { exclusiveMinimum }),
      ...(maximum !== undefined && { maximum }),
      ...(exclusiveMaximum !== undefined && { exclusiveMaximum }),
    };
  }

  #bound(
    including: "minimum" | "maximum",
    excluding: "exclusiveMinimum" | "exclusiveMaximum",
  ): [number | undefined, number | undefined] {
    const bound = this.#number(including);
    const exclusive = this.#schema[excluding];
    if (exclusive === true) return [undefined, bound];
    if (exclusive === false) return [bound, undefined];
    return [bound, this.#number(excluding)];
  }

  #number(keyword: string): number | undefined {
    const value = this.#schema[keyword];
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value))
      throw this.#wrong(keyword, "a number");
    return value;
  }
}
