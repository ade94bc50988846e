/** Texts of a regular language, written as they are. */
import { ShoalError } from "../lib/index.ts";
import type { GrammarBuilder } from "./builder.ts";
import { charClass, literal } from "./gbnf.ts";
import {
  addAutomaton,
  Algebra,
  ALL_CHARS,
  automaton,
  matchesWhole,
  RegexError,
  TooLarge,
  type CharSet,
  type Expression,
} from "./regex/index.ts";

/** The rule of the texts that `regex` matches as a whole. Throws REQUEST_INVALID. */
export function regexRule(
  regex: string,
  name: string,
  builder: GrammarBuilder,
): string {
  return languageRule(name, builder, (algebra) => matchesWhole(algebra, regex));
}

/** The rule of the texts in which none of `texts` stands; the empty text is one. */
export function textWithoutRule(
  texts: readonly string[],
  name: string,
  builder: GrammarBuilder,
): string {
  return languageRule(name, builder, (algebra) => {
    const { all } = algebra;
    const found = algebra.or(...texts.map((text) => algebra.text(text)));
    return algebra.not(algebra.sequence(all, algebra.sequence(found, all)));
  });
}

function languageRule(
  name: string,
  builder: GrammarBuilder,
  make: (algebra: Algebra) => Expression,
): string {
  try {
    const algebra = new Algebra(builder.budget);
    const first = automaton(algebra, make(algebra), ALL_CHARS);
    if (first === undefined) throw new RegexError("no text matches it");
    return addAutomaton(builder, name, first, writePlain);
  } catch (thrown) {
    if (thrown instanceof RegexError)
      throw new ShoalError(
        "REQUEST_INVALID",
        `in the regular expression: ${thrown.message}`,
      );
    if (thrown instanceof TooLarge)
      throw new ShoalError(
        "REQUEST_INVALID",
        "the regular expression needs too many rules: a counted repetition has one for each count",
      );
    throw thrown;
  }
}

function writePlain(set: CharSet): string[] {
  const [range, ...others] = set;
  return range !== undefined && others.length === 0 && range[0] === range[1]
    ? [literal(String.fromCodePoint(range[0]))]
    : [charClass(set)];
}
