/** Random JSON schemas of the part that src/grammar supports, for fast-check. */
import * as fc from "fast-check";

export type AnySchema = Record<string, unknown>;

const NAMES = [
  "name",
  "a",
  "ab",
  "b",
  "é",
  'q"uote',
  "",
  "$ref",
  "line\n",
  "x-y",
];
const TEXTS = ["red", "green", "", 'say "hi"', "日本", "\\", "a\nb"];
const PATTERNS = [
  "^[a-z]{1,5}$",
  "^\\d{3}-\\d{4}$",
  "ab+c",
  '^"?[^"]*$',
  "^(?:yes|no|perhaps)$",
  "^(?!.*aa)[ab]{2,6}$",
];
const FORMATS = [
  "date",
  "time",
  "date-time",
  "duration",
  "uuid",
  "ipv4",
  "ipv6",
  "hostname",
  "email",
  "uri",
];

/** Two numbers in order, each of them perhaps left out. */
function bounds(
  low: string,
  high: string,
  value: fc.Arbitrary<number>,
): fc.Arbitrary<AnySchema> {
  return fc
    .tuple(value, value, fc.boolean(), fc.boolean())
    .map(([a, b, hasLow, hasHigh]) => ({
      ...(hasLow && { [low]: Math.min(a, b) }),
      ...(hasHigh && { [high]: Math.max(a, b) }),
    }));
}

const strings: fc.Arbitrary<AnySchema> = fc
  .oneof(
    bounds("minLength", "maxLength", fc.nat({ max: 12 })),
    fc.constantFrom(...PATTERNS).map((pattern) => ({ pattern })),
    fc.constantFrom(...FORMATS).map((format) => ({ format })),
    fc.constant({ pattern: "^[a-z]+$", minLength: 2, maxLength: 4 }),
    fc.constant({ format: "uri", maxLength: 80 }),
  )
  .map((asked) => ({ type: "string", ...asked }));

const wholes = fc.oneof(
  fc.integer({ min: -120, max: 120 }),
  fc.integer({ min: -(10 ** 12), max: 10 ** 12 }),
);
const decimals = fc.oneof(
  fc.integer({ min: -5000, max: 5000 }).map((value) => value / 100),
  wholes,
);

const numbers: fc.Arbitrary<AnySchema> = fc.oneof(
  bounds("minimum", "maximum", wholes).map((asked) => ({
    type: "integer",
    ...asked,
  })),
  bounds("exclusiveMinimum", "maximum", fc.integer({ min: -9, max: 9 })).map(
    (asked) =>
      "maximum" in asked && asked.exclusiveMinimum === asked.maximum
        ? { type: "integer" }
        : { type: "integer", ...asked },
  ),
  bounds("minimum", "maximum", decimals).map((asked) => ({
    type: "number",
    ...asked,
  })),
  bounds("exclusiveMinimum", "exclusiveMaximum", decimals).map((asked) =>
    asked.exclusiveMinimum === asked.exclusiveMaximum
      ? { type: "number" }
      : { type: "number", ...asked },
  ),
);

const values = fc.constantFrom<unknown>(
  ...TEXTS,
  0,
  -1.5,
  true,
  null,
  [1, "a"],
  { a: [null] },
);
const listed: fc.Arbitrary<AnySchema> = fc.oneof(
  fc
    .uniqueArray(values, { minLength: 1, maxLength: 6 })
    .map((list) => ({ enum: list })),
  values.map((value) => ({ const: value })),
  fc.constant({ enum: Array.from({ length: 30 }, (_, i) => `value ${i}`) }),
);

const simple: fc.Arbitrary<AnySchema> = fc.oneof(
  strings,
  numbers,
  listed,
  fc.constantFrom<AnySchema>(
    { type: "boolean" },
    { type: "null" },
    { type: ["string", "null"], maxLength: 5 },
    { type: ["integer", "boolean"], description: "either" },
    { type: "string", nullable: true },
    { $ref: "#/$defs/node" },
    { title: "anything" },
  ),
);

const { schema } = fc.letrec<{ schema: AnySchema }>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { arbitrary: simple, weight: 3 },
    { arbitrary: objects(tie("schema")), weight: 3 },
    { arbitrary: arrays(tie("schema")), weight: 2 },
    { arbitrary: combinations(tie("schema")), weight: 2 },
  ),
}));

function objects(inner: fc.Arbitrary<AnySchema>): fc.Arbitrary<AnySchema> {
  return fc
    .tuple(
      fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 5 }),
      fc.array(inner, { minLength: 5, maxLength: 5 }),
      fc.nat({ max: 31 }),
      fc.oneof(fc.constantFrom<unknown>(undefined, false, true), simple),
    )
    .map(([names, schemas, needed, additional]) => ({
      type: "object",
      properties: Object.fromEntries(
        names.map((name, index) => [name, schemas[index]]),
      ),
      required: names.filter((_, index) => (needed >> index) % 2 === 1),
      ...(additional !== undefined && { additionalProperties: additional }),
    }));
}

function arrays(inner: fc.Arbitrary<AnySchema>): fc.Arbitrary<AnySchema> {
  return fc.oneof(
    fc
      .tuple(inner, bounds("minItems", "maxItems", fc.nat({ max: 4 })))
      .map(([items, asked]) => ({ type: "array", items, ...asked })),
    fc
      .tuple(
        fc.array(inner, { minLength: 1, maxLength: 3 }),
        fc.oneof(fc.constantFrom<unknown>(undefined, false), inner),
        fc.constantFrom<number | undefined>(undefined, 0, 1),
      )
      .map(([prefixItems, items, minItems]) => ({
        type: "array",
        prefixItems,
        ...(items !== undefined && { items }),
        ...(minItems !== undefined && { minItems }),
      })),
  );
}

function combinations(inner: fc.Arbitrary<AnySchema>): fc.Arbitrary<AnySchema> {
  const several = fc.array(inner, { minLength: 2, maxLength: 3 });
  return fc.oneof(
    several.map((anyOf) => ({ anyOf })),
    // Branches that a property tells apart.
    several.map((branches) => ({
      oneOf: branches.map((value, index) => ({
        type: "object",
        properties: { kind: { const: `kind ${index}` }, value },
        required: ["kind"],
        additionalProperties: index === 0,
      })),
    })),
    fc.constant({ oneOf: [{ type: "string" }, { type: "integer" }] }),
    fc.tuple(inner, inner).map(([a, b]) => ({
      allOf: [
        { type: "object", properties: { left: a }, required: ["left"] },
        { properties: { right: b } },
      ],
    })),
    fc.tuple(numbers, numbers).map(([a, b]) => ({
      type: "object",
      properties: {
        sum: { allOf: [a, { type: ["number", "null"] }], anyOf: [b, {}] },
      },
    })),
  );
}

/** With a definition that refers to itself. */
export const supportedSchemas: fc.Arbitrary<AnySchema> = schema.map((root) => ({
  ...root,
  $defs: {
    node: {
      type: "object",
      properties: {
        value: { type: "string", maxLength: 3 },
        next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
        list: { type: "array", items: { $ref: "#/$defs/node" }, maxItems: 2 },
      },
      required: ["value", "next"],
      additionalProperties: false,
    },
  },
}));
