import type { GrammarBuilder } from "./builder.ts";
import { literal } from "./gbnf.ts";
import { jsonTextRule, textKeywords } from "./json-text.ts";
import type { Place } from "./schema-compiler.ts";
import { below, unsupported } from "./schema-errors.ts";
import { isObject, readKeywords, type Keywords } from "./schema-keywords.ts";
import type { Visit } from "./schema-kinds.ts";

/** The names that an additional property must not have become one automaton. */
const MAX_EXCLUDED_NAMES = 500;

interface Member {
  /** The symbol of its name and value. */
  rule: string;
  isRequired: boolean;
}

/**
 * An object: its properties in the order in which the schema names them, those that may be left out too, then additional ones. An object
 * whose schema names properties has no others, unless "additionalProperties" says so.
 */
export function objectRule(
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
  visit: Visit,
): string | undefined {
  const { properties, additionalProperties, path } = keywords;
  const named = namedProperties(keywords);
  if (
    named.size === 0 &&
    properties === undefined &&
    (additionalProperties === undefined || additionalProperties === true) &&
    keywords.propertyNames === undefined
  )
    return builder.addJson("object");
  builder.addJson("space");
  const required = new Set(keywords.required);
  const members: Member[] = [];
  for (const [name, schema] of named) {
    const value = visit(schema, {
      path: below(below(path, "properties"), name),
      name: `${place.name}-${name}`,
      depth: place.depth + 1,
    });
    if (value !== undefined) {
      const key = literal(JSON.stringify(name));
      members.push({
        rule: builder.addRule(
          `${place.name}-${name}-kv`,
          `${key} space ":" space ${value}`,
        ),
        isRequired: required.has(name),
      });
    } else if (required.has(name)) return undefined;
  }
  const more = additionalMember(
    keywords,
    [...named.keys()],
    place,
    builder,
    visit,
  );
  const body = membersBody(members, more, place, builder);
  return builder.addRule(
    place.name,
    `"{" space ${body}${body === "" ? "" : " "}"}" space`,
  );
}

/** The properties with a name: declared, required, or listed by "propertyNames". */
function namedProperties(keywords: Keywords): Map<string, unknown> {
  const { properties, required, additionalProperties, propertyNames } =
    keywords;
  const rest = additionalProperties ?? true;
  const named = new Map(properties);
  for (const name of [...listedNames(propertyNames), ...required])
    if (!named.has(name)) named.set(name, rest);
  return named;
}

function listedNames(propertyNames: unknown): readonly string[] {
  if (!isObject(propertyNames) || !Array.isArray(propertyNames.enum)) return [];
  return propertyNames.enum.filter((name) => typeof name === "string");
}

/** The symbol of an additional property's name and value, where there may be any. */
function additionalMember(
  keywords: Keywords,
  names: readonly string[],
  place: Place,
  builder: GrammarBuilder,
  visit: Visit,
): string | undefined {
  const { additionalProperties, propertyNames, properties, path } = keywords;
  const isOpen =
    additionalProperties !== undefined ||
    (properties === undefined && propertyNames !== undefined);
  if (!isOpen || additionalProperties === false) return undefined;
  if (listedNames(propertyNames).length > 0) return undefined;
  const inside = (name: string, keyword: string): Place => ({
    path: below(path, keyword),
    name: `${place.name}-${name}`,
    depth: place.depth + 1,
  });
  const value = visit(
    additionalProperties ?? true,
    inside("additional", "additionalProperties"),
  );
  if (value === undefined) return undefined;
  const key = nameRule(keywords, names, `${place.name}-name`, builder);
  if (key === undefined) return undefined;
  return builder.addRule(
    `${place.name}-additional-kv`,
    `${key} ":" space ${value}`,
  );
}

/** A rule of its own for what may follow a member that may be the first, if it is longer than a name. */
const SHORT_CHARS = 40;

/** The symbol of an additional property's name: none of `names`, and what "propertyNames" says. */
function nameRule(
  { propertyNames, path }: Keywords,
  names: readonly string[],
  rule: string,
  builder: GrammarBuilder,
): string | undefined {
  const at = below(path, "propertyNames");
  if (propertyNames === false) return undefined;
  const own = isObject(propertyNames) ? propertyNames : {};
  const asked = readKeywords(own, at);
  if (asked.types !== undefined && !asked.types.includes("string"))
    return undefined;
  const isFree =
    asked.patterns.length + asked.formats.length === 0 &&
    asked.minLength === undefined &&
    asked.maxLength === undefined;
  if (["$ref", "allOf", "anyOf", "oneOf", "const"].some((key) => key in own))
    throw unsupported(at, "only keywords of strings are supported here");
  if (names.length === 0 && isFree) return builder.addJson("string");
  if (names.length > 0 && !isFree)
    throw unsupported(at, "beside named properties");
  if (names.length > MAX_EXCLUDED_NAMES)
    throw unsupported(
      below(path, "additionalProperties"),
      `beside more than ${MAX_EXCLUDED_NAMES} named properties`,
    );
  return jsonTextRule({ ...textKeywords(asked), not: names }, rule, builder);
}

/** The members, with commas between those that are there. Until one is certainly written, each may be the first. */
function membersBody(
  members: readonly Member[],
  more: string | undefined,
  place: Place,
  builder: GrammarBuilder,
): string {
  const certain = members.findIndex(({ isRequired }) => isRequired);
  // From the last member to the first: what may follow it, and how the members from it on may begin.
  let after = more === undefined ? "" : `("," space ${more})*`;
  let begins = more === undefined ? [] : [`${more} ${after}`];
  for (const [index, { rule, isRequired }] of [
    ...members.entries(),
  ].reverse()) {
    if (after.length > SHORT_CHARS && (certain < 0 || index < certain))
      after = builder.addRule(`${place.name}-rest-${index}`, after);
    const begin = `${rule} ${after}`.trim();
    begins = isRequired ? [begin] : [begin, ...begins];
    const next = `"," space ${rule}`;
    after = `${isRequired ? next : `(${next})?`} ${after}`.trim();
  }
  const body = begins.join(" | ");
  if (certain < 0) return body === "" ? "" : `(${body})?`;
  return begins.length === 1 ? body : `(${body})`;
}
