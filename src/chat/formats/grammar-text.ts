import { literal, type GrammarBuilder } from "../../grammar/index.ts";

/**
 * The rule of any text up to `mark`, and the mark: a state for each length of the mark's beginning that was just written, as Knuth, Morris
 * and Pratt search.
 */
export function textUpTo(grammar: GrammarBuilder, mark: string): string {
  const known = rules.get(grammar) ?? new Map<string, string>();
  rules.set(grammar, known);
  const name = known.get(mark) ?? addText(grammar, mark);
  known.set(mark, name);
  return name;
}

const rules = new WeakMap<GrammarBuilder, Map<string, string>>();

function addText(grammar: GrammarBuilder, mark: string): string {
  const characters = Array.from(mark);
  const names = characters.map(() => grammar.reserve("text"));
  const letters = [...new Set(characters)];
  characters.forEach((_, length) => {
    const next = letters.flatMap((letter) => {
      const state = after(characters, length, letter);
      if (state === 0) return [];
      const goesOn = state === characters.length ? "" : ` ${names[state]}`;
      return [`${literal(letter)}${goesOn}`];
    });
    const others = letters.filter(
      (letter) => after(characters, length, letter) > 0,
    );
    next.push(`[^${others.map(inClass).join("")}] ${names[0]}`);
    grammar.define(names[length] ?? "", next.join(" | "));
  });
  return names[0] ?? "";
}

/** How much of the mark's beginning is written, if `length` characters of it were and `letter` follows. */
function after(
  characters: readonly string[],
  length: number,
  letter: string,
): number {
  const written = [...characters.slice(0, length), letter];
  for (let begun = written.length; begun > 0; begun--) {
    const tail = written.slice(written.length - begun);
    if (tail.every((one, at) => one === characters[at])) return begun;
  }
  return 0;
}

const inClass = (letter: string): string =>
  /[\\\]^-]/.test(letter) ? `\\x${hex(letter)}` : letter.replace("\n", "\\n");

const hex = (letter: string): string =>
  letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");

/** The rules of a grammar that a client gave, under names of their own. Gives the root's. */
export function addRules(grammar: GrammarBuilder, gbnf: string): string {
  const renamed = gbnf.replace(
    // Strings, classes, comments and tokens are left as they are.
    /"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*|<[^>\n]*>|[A-Za-z][\w-]*/g,
    (part) =>
      /^[A-Za-z]/.test(part)
        ? `held-${part}`
        : part.startsWith("#")
          ? ""
          : part,
  );
  const parts = renamed.split(/^[ \t]*(held-[\w-]+)[ \t]*::=/m).slice(1);
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const body = (parts[at + 1] ?? "").trim().replace(/\s*\n\s*/g, " ");
    grammar.define(parts[at] ?? "", body);
  }
  return "held-root";
}
