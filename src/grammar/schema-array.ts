import type { GrammarBuilder } from "./builder.ts";
import { repeat } from "./gbnf.ts";
import type { Place } from "./schema-compiler.ts";
import { below, unsupported } from "./schema-errors.ts";
import type { Keywords } from "./schema-keywords.ts";
import type { Visit } from "./schema-kinds.ts";

/** Each possible length of a bounded array is a rule in llama.cpp. */
const MAX_ITEMS = 10_000;
/** Of an optional list, in items: longer ones are rules of their own. */
const LONG = 100;
/** Each is written out, one within the other. */
const MAX_PREFIX_ITEMS = 500;

/**
 * An array. One whose schema begins with certain items ("prefixItems") has all of them unless "minItems" says fewer, and no others unless
 * "items" or "minItems" says more.
 */
export function arrayRule(
  keywords: Keywords,
  place: Place,
  builder: GrammarBuilder,
  visit: Visit,
): string | undefined {
  const { path, items, minItems, maxItems } = keywords;
  if ((minItems ?? 0) > MAX_ITEMS || (maxItems ?? 0) > MAX_ITEMS)
    throw unsupported(path, `more than ${MAX_ITEMS} items`);
  if (keywords.prefixItems.length > MAX_PREFIX_ITEMS)
    throw unsupported(path, `more than ${MAX_PREFIX_ITEMS} "prefixItems"`);
  const inside = (keyword: string, name: string): Place => ({
    path: keyword,
    name: `${place.name}-${name}`,
    depth: place.depth + 1,
  });
  const prefix = keywords.prefixItems.map((schema, index) =>
    visit(
      schema,
      inside(below(below(path, "prefixItems"), index), `item-${index}`),
    ),
  );
  // An item that nothing fulfils ends the array before it.
  const impossible = prefix.indexOf(undefined);
  const given = (
    impossible < 0 ? prefix : prefix.slice(0, impossible)
  ) as string[];
  const needed = minItems ?? prefix.length;
  const rest =
    impossible >= 0 ||
    (items === undefined && prefix.length > 0 && needed <= prefix.length)
      ? undefined
      : visit(items ?? true, inside(below(path, "items"), "item"));
  const most = Math.min(
    maxItems ?? Infinity,
    rest === undefined ? given.length : Infinity,
  );
  const least = Math.min(needed, minItems === undefined ? most : Infinity);
  if (least > most) return undefined;
  builder.addJson("space");
  const body = itemsBody(given, rest, least, most, (item, name) =>
    builder.addRule(`${place.name}-${name}`, item),
  );
  return builder.addRule(
    place.name,
    `"[" space ${body}${body === "" ? "" : " "}"]" space`,
  );
}

/** `rule` makes a rule of a part, and gives its symbol. */
function itemsBody(
  prefix: readonly string[],
  rest: string | undefined,
  least: number,
  most: number,
  rule: (body: string, name: string) => string,
): string {
  // The array after its first `index` items.
  const from = (index: number): string => {
    const item = prefix[index] ?? rest;
    if (index >= most || item === undefined) return "";
    if (index > 0 && index >= prefix.length)
      return repeat(
        rule(`"," space ${item}`, "more"),
        Math.max(0, least - index),
        most === Infinity ? undefined : most - index,
      );
    const own = index === 0 ? item : rule(`"," space ${item}`, `next-${index}`);
    const body = `${own} ${from(index + 1)}`.trim();
    if (index < least) return body;
    // llama.cpp takes no group of so many repetitions that is optional itself.
    return most - index > LONG && most < Infinity
      ? `${rule(body, `from-${index}`)}?`
      : `(${body})?`;
  };
  return from(0);
}
