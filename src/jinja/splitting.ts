/** `split` and `rsplit`. */
import { MAX_LIST_ITEMS } from "./budget.ts";
import { SPACE, stripEnd } from "./characters.ts";
import { fail } from "./errors.ts";
import { intArgument, textArgument, type Runtime } from "./runtime.ts";
import type { Bound } from "./signature.ts";
import type { Value } from "./values.ts";

export const SPLIT = { sep: null, maxsplit: -1n } as const;

export function separator(sep: Value): string {
  const text = textArgument(sep, "separator");
  return text === "" ? fail("empty separator") : text;
}

export function split(
  text: string,
  { sep, maxsplit }: Bound<typeof SPLIT>,
  { budget }: Runtime,
  isFromEnd: boolean,
): string[] {
  const most = intArgument(maxsplit, "maxsplit");
  // One more than a list may have: then it is refused.
  const limit = MAX_LIST_ITEMS + 1;
  const parts = sep === null ? undefined : text.split(separator(sep), limit);
  if (parts === undefined) {
    const words = splitWords(text, most, isFromEnd);
    budget.items(words.length);
    return words;
  }
  budget.items(parts.length);
  if (most < 0 || parts.length <= most + 1) return parts;
  const by = separator(sep);
  return isFromEnd
    ? [parts.slice(0, parts.length - most).join(by), ...lastOf(parts, most)]
    : [...parts.slice(0, most), parts.slice(most).join(by)];
}

const lastOf = <T>(items: T[], count: number): T[] =>
  items.slice(items.length - count);

const WORD = new RegExp(`[^${SPACE}]+`, "g");

/** By white space: what is beside it is gone, also around the rest that `most` leaves whole. */
function splitWords(text: string, most: number, isFromEnd: boolean): string[] {
  const words: RegExpExecArray[] = [];
  for (const word of text.matchAll(WORD)) {
    words.push(word);
    if (words.length > MAX_LIST_ITEMS) fail("it splits into too many words");
  }
  if (most < 0 || words.length <= most) return words.map(([word]) => word);
  if (isFromEnd) {
    const late = lastOf(words, most);
    const rest = stripEnd(text.slice(0, late[0]?.index ?? text.length));
    const ends = late.map(([word]) => word);
    return rest === "" ? ends : [rest, ...ends];
  }
  const rest = text.slice(words[most]?.index ?? text.length);
  const early = words.slice(0, most).map(([word]) => word);
  return rest === "" ? early : [...early, rest];
}
