/** A string literal's text: Python's escapes. */
import { codeEscape } from "./printing.ts";

const ESCAPE =
  /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))/gsu;

const LETTERS: ReadonlyMap<string, string> = new Map([
  ["\n", ""],
  ["\\", "\\"],
  ["'", "'"],
  ['"', '"'],
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
]);

/** Undefined: it has an escape without its digits. */
export function stringOf(literal: string): string | undefined {
  if (!literal.includes("\\")) return literal;
  let isBad = false;
  const text = literal.replace(
    ESCAPE,
    (
      all: string,
      octal: string | undefined,
      x: string | undefined,
      u: string | undefined,
      U: string | undefined,
      letter: string | undefined,
    ) => {
      if (letter === undefined) {
        const hex = x ?? u ?? U;
        const code = hex === undefined ? `0o${octal}` : `0x${hex}`;
        isBad ||= Number(code) > 0x10ffff;
        return isBad ? "" : String.fromCodePoint(Number(code));
      }
      isBad ||= "xuUN".includes(letter);
      // As Jinja2, which first writes other characters as escapes and then takes their backslash for the second of a pair.
      if (letter > "\x7f") {
        return `\\${codeEscape(letter.codePointAt(0) ?? 0).slice(1)}`;
      }
      return LETTERS.get(letter) ?? all;
    },
  );
  return isBad ? undefined : text;
}
