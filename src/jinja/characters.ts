/** Texts by Python's rules: a character is a code point, and white space is what `str.isspace` says. */
import { MAX_LIST_ITEMS } from "./budget.ts";
import { fail } from "./errors.ts";

export const SPACE =
  "\\t-\\r\\x1c-\\x1f \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const LEADING_SPACE = new RegExp(`^[${SPACE}]+`);
const IS_SPACE = new RegExp(`^[${SPACE}]$`);

/** Whether a text is without pairs of surrogates, so that its units are its characters. */
const isSimple = (text: string): boolean => !/[\ud800-\udbff]/.test(text);

export const charsOf = (text: string): string[] =>
  isSimple(text) ? text.split("") : Array.from(text);

export function charCount(text: string): number {
  if (isSimple(text)) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Characters `start` to `end`, both from the front. */
export function charSlice(text: string, start: number, end: number): string {
  return isSimple(text)
    ? text.slice(start, end)
    : Array.from(text).slice(start, end).join("");
}

/** From a position in JavaScript's units to one in characters. */
export const charPosition = (text: string, unit: number): number =>
  unit < 0 ? unit : charCount(text.slice(0, unit));

export function stripStart(text: string, chars?: string): string {
  if (chars === undefined) return text.replace(LEADING_SPACE, "");
  const set = new Set(chars);
  let start = 0;
  for (const char of text) {
    if (!set.has(char)) break;
    start += char.length;
  }
  return text.slice(start);
}

export function stripEnd(text: string, chars?: string): string {
  const set = chars === undefined ? undefined : new Set(chars);
  let end = text.length;
  while (end > 0) {
    const low = text.charCodeAt(end - 1);
    const size = end > 1 && low >= 0xdc00 && low <= 0xdfff ? 2 : 1;
    const char = text.slice(end - size, end);
    if (!(set === undefined ? IS_SPACE.test(char) : set.has(char))) break;
    end -= size;
  }
  return text.slice(0, end);
}

/** Order by code points; JavaScript's own is by units. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  if (isSimple(a) && isSimple(b)) return a < b ? -1 : 1;
  const left = Array.from(a);
  const right = Array.from(b);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order =
      (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** Digraphs have a form of their own at the beginning of a word. */
const TITLE_FORMS = new Map(
  ["ǄǅǆǅǇǈǉǈǊǋǌǋ", "ǱǲǳǲǱǲǳǲǱǲǳǲ"].flatMap((row) =>
    (row.match(/.{4}/gu) ?? []).flatMap((group) => {
      const forms = Array.from(group);
      const title = forms[3] ?? "";
      return forms.slice(0, 3).map((form): [string, string] => [form, title]);
    }),
  ),
);

/** One character as the first of a word: "ß" becomes "Ss". */
export function titleChar(char: string): string {
  const form = TITLE_FORMS.get(char);
  if (form !== undefined) return form;
  const [first = "", ...rest] = Array.from(char.toUpperCase());
  return first + rest.join("").toLowerCase();
}

export function capitalize(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return titleChar(first) + rest.join("").toLowerCase();
}

const LINE = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/g; // eslint-disable-line no-control-regex

export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const match of text.matchAll(LINE)) {
    const end = match.index + match[0].length;
    lines.push(text.slice(start, keepEnds ? end : match.index));
    start = end;
    if (lines.length > MAX_LIST_ITEMS) fail("a text has too many lines");
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ["'", "&#39;"],
  ['"', "&#34;"],
]);

/** For HTML. */
export function escaped(text: string): string {
  return text.replace(/[&<>'"]/g, (char) => ENTITIES.get(char) ?? char);
}
