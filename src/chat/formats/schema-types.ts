import type { Json } from "../chat-template.ts";

export type JsonType =
  "string" | "number" | "boolean" | "null" | "object" | "array";

/** References and choices within one another. */
const MAX_DEPTH = 16;

/** The types of an argument by the tool's schema. Undefined: it may be anything. */
export function argumentTypes(
  parameters: Json | undefined,
  key: string,
): ReadonlySet<JsonType> | undefined {
  const schema = field(field(parameters, "properties"), key);
  return typesOf(schema, parameters, 0);
}

export const isOnlyText = (types: ReadonlySet<JsonType> | undefined): boolean =>
  types?.size === 1 && types.has("string");

/** The arguments that the tool's schema names. Without names, there may be any. */
export function argumentsOf(parameters: Json | undefined): {
  keys: string[] | undefined;
  required: ReadonlySet<Json>;
} {
  const properties = field(parameters, "properties");
  const required = field(parameters, "required");
  return {
    keys: isObject(properties) ? Object.keys(properties) : undefined,
    required: new Set(Array.isArray(required) ? required : []),
  };
}

/** The only texts that an argument may be, if the schema lists them. */
export function argumentChoices(
  parameters: Json | undefined,
  key: string,
): string[] | undefined {
  const schema = field(field(parameters, "properties"), key);
  const values = field(schema, "enum") ?? listed(field(schema, "const"));
  if (!Array.isArray(values) || values.length === 0) return undefined;
  const texts = values.filter((value) => typeof value === "string");
  return texts.length === values.length ? texts : undefined;
}

/** An argument's schema, with the definitions that it may refer to. */
export function argumentSchema(
  parameters: Json | undefined,
  key: string,
): unknown {
  const schema = field(field(parameters, "properties"), key) ?? {};
  if (!isObject(schema)) return schema;
  const shared = ["$defs", "definitions"].flatMap((name) => {
    const definitions = field(parameters, name);
    return definitions === undefined ? [] : [[name, definitions] as const];
  });
  return { ...Object.fromEntries(shared), ...schema };
}

export function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value as JsonType;
}

function typesOf(
  schema: Json | undefined,
  root: Json | undefined,
  depth: number,
): ReadonlySet<JsonType> | undefined {
  if (depth > MAX_DEPTH) return undefined;
  const values = field(schema, "enum") ?? listed(field(schema, "const"));
  if (Array.isArray(values)) return new Set(values.map(typeOf));
  const type = field(schema, "type");
  const names = Array.isArray(type) ? type : listed(type);
  if (names !== undefined) {
    const types = names.map((name) => (name === "integer" ? "number" : name));
    return new Set(types as JsonType[]);
  }
  const reference = field(schema, "$ref");
  if (typeof reference === "string" && reference.startsWith("#/")) {
    const steps = reference.slice(2).split("/");
    const target = steps.reduce<Json | undefined>(field, root);
    return typesOf(target, root, depth + 1);
  }
  const choices = field(schema, "anyOf") ?? field(schema, "oneOf");
  if (!Array.isArray(choices)) return undefined;
  const all = choices.map((choice) => typesOf(choice, root, depth + 1));
  const union = new Set<JsonType>();
  for (const types of all) {
    if (types === undefined) return undefined;
    for (const one of types) union.add(one);
  }
  return union;
}

const listed = (value: Json | undefined): Json[] | undefined =>
  value === undefined ? undefined : [value];

function field(value: Json | undefined, name: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, name)
    ? value[name]
    : undefined;
}

function isObject(
  value: Json | undefined,
): value is Readonly<Record<string, Json>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
