/** Strings of JSON whose text is of a regular language. */
import type { GrammarBuilder } from "./builder.ts";
import { formatRegex } from "./formats.ts";
import { charClass, literal } from "./gbnf.ts";
import {
  addAutomaton,
  Algebra,
  ALL_CHARS,
  automaton,
  charsOf,
  intersection,
  lengths,
  matchesWhole,
  matchesWithin,
  reads,
  RegexError,
  TooLarge,
  type Budget,
  type CharSet,
  type State,
} from "./regex/index.ts";
import { below, unsupported } from "./schema-errors.ts";
import type { Keywords } from "./schema-keywords.ts";

/** Written as they are. */
const PLAIN: CharSet = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0x7e],
  [0x80, 0xd7ff],
  [0xe000, 0x10ffff],
];
/** Written with a backslash. Other control characters are not written at all. */
const ESCAPED = charsOf('"\\\b\f\n\r\t');
const WRITTEN: CharSet = [...ESCAPED, ...PLAIN].toSorted(([a], [b]) => a - b);

/** What is asked of a string. */
export type TextKeywords = Pick<
  Keywords,
  "path" | "patterns" | "formats" | "minLength" | "maxLength"
> & {
  /** Texts that it must not be. */
  not?: readonly string[];
};

/** Of a schema's keywords, those about a string. */
export function textKeywords(keywords: Keywords): TextKeywords {
  const { path, patterns, formats, minLength, maxLength } = keywords;
  return {
    path,
    patterns,
    formats,
    ...(minLength !== undefined && { minLength }),
    ...(maxLength !== undefined && { maxLength }),
  };
}

/** The automaton of the texts that `keywords` allow, of all characters or those that a JSON string can have here. */
function textAutomaton(
  keywords: TextKeywords,
  alphabet: CharSet,
  budget: Budget,
): State | undefined {
  const { path, patterns, formats, not = [] } = keywords;
  const { minLength = 0, maxLength = Infinity } = keywords;
  const algebra = new Algebra(budget);
  return within(path, () => {
    const language = algebra.and(
      ...patterns.map((pattern) =>
        within(below(path, "pattern"), () => matchesWithin(algebra, pattern)),
      ),
      ...formats.map((format) =>
        matchesWhole(algebra, formatRegex(format, maxLength) ?? ""),
      ),
      ...not.map((text) => algebra.not(algebra.text(text))),
    );
    const first = automaton(algebra, language, alphabet);
    if (first === undefined) return undefined;
    const [shortest, longest] = lengths(first);
    if (minLength <= shortest && longest <= maxLength) return first;
    const length = algebra.repeat(
      algebra.chars(ALL_CHARS),
      minLength,
      maxLength,
    );
    return automaton(algebra, algebra.and(language, length), alphabet);
  });
}

function within<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (thrown) {
    if (thrown instanceof RegexError)
      throw unsupported(path, `in the regular expression: ${thrown.message}`);
    if (thrown instanceof TooLarge)
      throw unsupported(
        path,
        "what is asked of the string needs too many rules: a counted repetition has one for each count",
      );
    throw thrown;
  }
}

/** The rule of a JSON string with such a text, white space after it included. Nothing if there is none. */
export function jsonTextRule(
  keywords: TextKeywords,
  name: string,
  builder: GrammarBuilder,
): string | undefined {
  const { path: _, ...asked } = keywords;
  return builder.once(JSON.stringify(asked), () => {
    const first = textAutomaton(keywords, WRITTEN, builder.budget);
    if (first === undefined) return undefined;
    builder.addJson("space");
    const text = addAutomaton(builder, name, first, writeJson, '"\\"" space');
    return builder.addRule(`${name}-string`, `"\\"" ${text}`);
  });
}

function writeJson(set: CharSet): string[] {
  const plain = intersection(set, PLAIN);
  const escaped = intersection(set, ESCAPED).flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index) => {
      const char = String.fromCharCode(first + index);
      return literal(JSON.stringify(char).slice(1, -1));
    }),
  );
  if (plain.length === 0) return escaped;
  const [range] = plain;
  const isOne = plain.length === 1 && range?.[0] === range?.[1];
  return [
    isOne ? literal(String.fromCodePoint(range?.[0] ?? 0)) : charClass(plain),
    ...escaped,
  ];
}

/** Whether the keywords allow a text. */
export function textJudge(
  keywords: TextKeywords,
  budget: Budget,
): (text: string) => boolean {
  const { patterns, formats, minLength = 0, maxLength = Infinity } = keywords;
  const isRegular = patterns.length + formats.length > 0;
  const first = isRegular
    ? textAutomaton(keywords, ALL_CHARS, budget)
    : undefined;
  return (text) => {
    const { length } = Array.from(text);
    if (length < minLength || length > maxLength) return false;
    return !isRegular || (first !== undefined && reads(first, text));
  };
}
