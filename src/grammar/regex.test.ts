/** Regular expressions as grammars, against JavaScript's own reading of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TextGrammar } from "../../test/support/gbnf.ts";
import { Random } from "../../test/support/random.ts";
import { isShoalError } from "../lib/index.ts";
import {
  checkGrammar,
  GrammarBuilder,
  regexToGrammar,
  schemaToGrammar,
} from "./index.ts";

/** Each with letters that random texts are made of. */
const REGEXES: readonly (readonly [regex: string, letters: string])[] = [
  ["abc?d*efg+(hij)?kl", "abcdefghijkl"],
  ["[A-Z]{2}-[0-9]+", "AZ-09a"],
  ["(a|b)*abb", "ab"],
  ["a{2}|b{1,3}|c{2,}", "abc"],
  ["(?:ab+?|a)*b", "ab"],
  ["(?<year>\\d{4})-(?:0[1-9]|1[0-2])", "0129-"],
  ["(?=.*\\d)(?=.*[a-z])[a-z0-9]{3,6}", "az0"],
  ["(?!no)[a-z]{2,4}", "nox"],
  ["(?!.*(?:a.b|b$))[abc]*", "abc"],
  ["^(?:a|^b)$|c", "abc"],
  ["[^a-y\\s]|\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}", "z .*+?()[]{}"],
  ["\\w+\\W\\d\\D", "a_0 -"],
  ["é🐟?[日-本]", "é🐟日本"],
  [".{0,3}", "a\n "],
  ["\\x41\\u0042\\u{43}[\\b\\t]?\\/-", "ABC/-\t\b"],
  ["(a*)*b?", "ab"],
  ["", "a"],
  ["a[]|b", "ab"],
  ["[^]a", "ab\n"],
];

for (const [regex, letters] of REGEXES)
  test(`/${regex}/ reads what it reads in JavaScript`, () => {
    const gbnf = regexToGrammar(regex);
    checkGrammar(gbnf);
    const grammar = new TextGrammar(gbnf);
    const judge = new RegExp(`^(?:${regex})$`, "u");
    const random = new Random(15, regex);
    for (let i = 0; i < 50; i++) {
      const text = grammar.draw(random);
      assert.match(text, judge);
    }
    const alphabet = Array.from(letters);
    for (let i = 0; i < 300; i++) {
      const length = random.below(9);
      const text = Array.from(
        { length },
        () => alphabet[random.below(alphabet.length)],
      ).join("");
      assert.equal(grammar.accepts(text), judge.test(text), text);
    }
  });

const REFUSED = [
  "(a)\\1",
  "\\bword\\b",
  "(?<=a)b",
  "(?i)a",
  "\\p{L}",
  "a**",
  "a{2}{3}",
  "*a",
  "(a",
  "a)",
  "[a",
  "[b-a]",
  "a{3,2}",
  "(?:a^)*",
  "[]",
  "a(?!a)(?=a)",
  "(.{0,100}x){0,100}",
  "(a|b)*a(a|b){30}",
  "a".repeat(10_000),
  `${"(".repeat(200)}${")".repeat(200)}`,
];

for (const regex of REFUSED)
  test(`refused: /${regex.slice(0, 40)}/`, () => {
    assert.throws(
      () => regexToGrammar(regex),
      (error) => isShoalError(error, "REQUEST_INVALID"),
    );
  });

test("a pattern is sought within the text, and what JSON escapes is escaped", () => {
  const pattern = String.raw`"\\?$`;
  const grammar = new TextGrammar(
    schemaToGrammar({ type: "string", pattern, maxLength: 3 }),
  );
  for (const text of ['"', 'ab"', '"\\', '\n\t"'])
    assert.ok(grammar.accepts(JSON.stringify(text)), text);
  for (const text of ["", "abc", '"a', 'abc"'])
    assert.ok(!grammar.accepts(JSON.stringify(text)), text);
});

test("a text without certain texts", () => {
  const builder = new GrammarBuilder();
  builder.addRule("root", builder.addTextWithout("free", ["</a>", "aab"]));
  const grammar = new TextGrammar(builder.toString());
  for (const text of ["", "</", "<</a", "aaxab", "\n日本"])
    assert.ok(grammar.accepts(text), text);
  for (const text of ["</a>", "x<</a>y", "aaab"])
    assert.ok(!grammar.accepts(text), text);
});
