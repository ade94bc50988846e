import { below, unsupported } from "./schema-errors.ts";
import { isObject } from "./schema-keywords.ts";

/** What a `$ref` within the same schema names: its place, its rule's name and itself. Other schemas are not fetched. */
export function findReference(
  root: unknown,
  reference: unknown,
  from: string,
): { path: string; name: string; schema: unknown } {
  const at = below(from, "$ref");
  if (typeof reference !== "string") throw unsupported(at, "expected a string");
  if (!/^#(\/|$)/.test(reference))
    throw unsupported(
      at,
      'only references into the schema ("#/…") are followed',
    );
  const names = reference.split("/").slice(1).map(unescapePointer);
  let path = "$";
  let schema: unknown = root;
  for (const name of names) {
    const next = childOf(schema, name);
    if (next === undefined) throw unsupported(at, "it names nothing");
    path = below(path, Array.isArray(schema) ? Number(name) : name);
    schema = next;
  }
  return { path, name: ["ref", ...names].join("-"), schema };
}

function childOf(parent: unknown, name: string): unknown {
  if (Array.isArray(parent))
    return /^\d+$/.test(name) ? parent[Number(name)] : undefined;
  return isObject(parent) && Object.hasOwn(parent, name)
    ? parent[name]
    : undefined;
}

/** RFC 6901, within a URI's fragment. */
function unescapePointer(name: string): string {
  let text = name;
  try {
    text = decodeURIComponent(name);
  } catch {
    // Not a URI's escapes: the name as it stands.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}
