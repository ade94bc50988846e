/** Whether a value that our rule for one schema writes may fulfil another schema too: what `oneOf` forbids. */
import {
  isObject,
  readKeywords,
  TYPES,
  type JsonType,
  type Keywords,
} from "./schema-keywords.ts";
import { bothTypes, canonical } from "./schema-merge.ts";
import { findReference } from "./schema-reference.ts";

/** False only if it is certain: `written` is what the rule writes, `judged` the schema that must not match. */
export function mayBothMatch(
  written: Keywords,
  judged: Keywords,
  root: unknown,
): boolean {
  if (written.values !== undefined && judged.values !== undefined) {
    const other = new Set(judged.values.map(canonical));
    return written.values.some((value) => other.has(canonical(value)));
  }
  const common = bothTypes(typesOf(written), typesOf(judged)) ?? [];
  if (common.length === 0) return false;
  return (
    common.some((type) => type !== "object") ||
    objectsMayMatch(written, judged, root)
  );
}

function typesOf({ types, values }: Keywords): readonly JsonType[] {
  if (values === undefined) return types ?? TYPES;
  return [...new Set(values.map(typeOf))];
}

export function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  switch (typeof value) {
    case "string":
      return "string";
    case "boolean":
      return "boolean";
    case "number":
      return Number.isInteger(value) ? "integer" : "number";
    default:
      return "object";
  }
}

function objectsMayMatch(
  written: Keywords,
  judged: Keywords,
  root: unknown,
): boolean {
  const never = judged.required.some(
    (name) =>
      !written.properties?.has(name) &&
      !written.required.includes(name) &&
      isClosed(written),
  );
  if (never) return false;
  return written.required.every((name) => {
    const [own, other] = [
      written.properties?.get(name),
      judged.properties?.get(name),
    ];
    if (other === undefined) return judged.additionalProperties !== false;
    const [a, b] = [simple(own, root), simple(other, root)];
    return a === undefined || b === undefined || mayBothMatch(a, b, root);
  });
}

/** Our rules add no property of their own to a schema that names some. */
function isClosed({ properties, additionalProperties }: Keywords): boolean {
  return (
    additionalProperties === false ||
    (additionalProperties === undefined && properties !== undefined)
  );
}

/** The keywords of a schema without combinations; one reference is followed. */
function simple(schema: unknown, root: unknown): Keywords | undefined {
  if (!isObject(schema)) return undefined;
  const found =
    schema.$ref === undefined
      ? schema
      : findReference(root, schema.$ref, "$").schema;
  if (!isObject(found)) return undefined;
  const combined = ["$ref", "allOf", "anyOf", "oneOf"].some((keyword) =>
    Object.hasOwn(found, keyword),
  );
  return combined ? undefined : readKeywords(found, "$");
}
