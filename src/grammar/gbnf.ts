/** The pieces of a grammar's text. GBNF is described in llama.cpp's grammars/README.md; its judge is src/llama-grammar.cpp. */

/** Code points, first and last. */
export type CharRange = readonly [first: number, last: number];

/**
 * The most repetitions in one brace. llama.cpp refuses 2,000 and more; longer ones are written in blocks. A block that may end early has two
 * readings for its length, so blocks should be few.
 */
const MAX_BRACE = 1000;

const LITERAL_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** Matches `text`, and nothing else. */
export function literal(text: string): string {
  // oxlint-disable-next-line no-control-regex
  const escaped = text.replace(/["\\\u0000-\u001f\u007f]/g, (char) => {
    return LITERAL_ESCAPES[char] ?? escapeCodePoint(char.charCodeAt(0));
  });
  return `"${escaped}"`;
}

/** Matches one character of the ranges. */
export function charClass(ranges: readonly CharRange[]): string {
  const parts = ranges.map(([first, last]) =>
    first === last
      ? classChar(first)
      : `${classChar(first)}${last === first + 1 ? "" : "-"}${classChar(last)}`,
  );
  return `[${parts.join("")}]`;
}

function classChar(codePoint: number): string {
  const char = String.fromCodePoint(codePoint);
  return /^[A-Za-z0-9 _.,:;!?@#$%&*+/<>=~(){}|]$/.test(char)
    ? char
    : escapeCodePoint(codePoint);
}

function escapeCodePoint(codePoint: number): string {
  const hex = codePoint.toString(16).toUpperCase();
  if (codePoint <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  if (codePoint <= 0xffff) return `\\u${hex.padStart(4, "0")}`;
  return `\\U${hex.padStart(8, "0")}`;
}

/** `item`, a single symbol or a group, `min` to `max` times; no `max` is any number of times. */
export function repeat(item: string, min: number, max?: number): string {
  const parts: string[] = [];
  let left = min;
  // The last block takes what is open, so that `item{2,5}` stays one brace.
  for (; left > MAX_BRACE; left -= MAX_BRACE)
    parts.push(`${item}{${MAX_BRACE}}`);
  if (max === undefined) return [...parts, openEnded(item, left)].join(" ");
  const optional = max - min;
  if (left + optional <= MAX_BRACE) {
    parts.push(braces(item, left, left + optional));
  } else {
    parts.push(braces(item, left, left), upTo(item, optional));
  }
  return parts.filter((part) => part !== "").join(" ");
}

function openEnded(item: string, min: number): string {
  if (min === 0) return `${item}*`;
  return min === 1 ? `${item}+` : `${item}{${min},}`;
}

function braces(item: string, min: number, max: number): string {
  if (max === 0) return "";
  if (min === max) return min === 1 ? item : `${item}{${min}}`;
  return min === 0 && max === 1 ? `${item}?` : `${item}{${min},${max}}`;
}

function upTo(item: string, max: number): string {
  if (max <= MAX_BRACE) return braces(item, 0, max);
  const more = upTo(item, max - MAX_BRACE);
  return `(${item}{${MAX_BRACE}} ${more} | ${braces(item, 0, MAX_BRACE - 1)})`;
}

/** One of `choices`; a group if there are several. */
export function oneOf(choices: readonly string[]): string {
  const distinct = [...new Set(choices)];
  const text = distinct.join(" | ");
  return distinct.length === 1 ? text : `(${text})`;
}
