import assert from "node:assert/strict";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { checkGrammar } from "./index.ts";

const TAKEN: Readonly<Record<string, string>> = {
  "comments, groups over lines, classes": String.raw`# a comment
root ::= ( # inside a group
  "a" | [^b-d\]\-] # or
  | other
)+ "\x41\u00e9\U0001F41F\"\\\n"
other ::= .{2,3}`,
  "a rule that refers to itself further on":
    'root ::= "(" root? ")" | [0-9]{1,}',
  "tokens by text and number": "root ::= <|call|> !<[12]> <think>*",
  "an empty choice, an empty text, an empty class": 'root ::= | "" | []',
  "lines that end as on Windows": 'root ::= "a"\r\nother ::= "b"\r\n',
  "a repetition just below llama.cpp's limit": 'root ::= "a"{1999}',
  "a group that may be empty, a few times": 'root ::= ("a"? "b"?){0,10}',
};

const REFUSED: readonly [what: string, gbnf: string, line?: number][] = [
  ["nothing", ""],
  ["no root", 'start ::= "a"'],
  ["no definition", 'root = "a"', 1],
  ["a choice on a line of its own", 'root ::= "a"\n\n | other', 3],
  ["a rule that is not there", 'root ::= a\na ::= "x" (b | "y")', 2],
  ["a text without an end", 'root ::= "abc', 1],
  ["a class without an end", "root ::= [abc", 1],
  ["a group without an end", 'root ::= ("a"', 1],
  ["an unknown escape", String.raw`root ::= "\d"`, 1],
  ["half a code", String.raw`root ::= "\u12"`, 1],
  ["nothing to repeat", "root ::= *", 1],
  ["braces without a number", 'root ::= "a"{,3}', 1],
  ["braces in the wrong order", 'root ::= "a"{3,2}', 1],
  ["2,000 repetitions", 'root ::= "a"{2000}', 1],
  ["repetitions of repetitions", 'root ::= "a"{50}{50}', 1],
  ["a group of many rules, many times", 'root ::= (("a"{0,100}) "b"){0,50}', 1],
  [
    "a rule that begins with itself",
    'root ::= a "x"\na ::= b\nb ::= root | "y"',
  ],
  ["one that does behind what may be empty", 'root ::= "a"? "b"* root "c"'],
  ["an empty thing without an end", 'root ::= ("a"?)*', 1],
  ["a token without an end", "root ::= <tool", 1],
  ["an extra bracket", 'root ::= "a")', 1],
  ["many ways to go on", `root ::= a{0,99}\na ::= b{0,99}\nb ::= "c"? "d"?`],
  [
    "repetitions that come to millions",
    `root ::= "${"a".repeat(2000)}"{1000}`,
    1,
  ],
  ["groups in groups", `root ::= ${"(".repeat(200)}"a"${")".repeat(200)}`, 1],
  [
    "rules that begin with each other, thousands",
    `${Array.from({ length: 14_000 }, (_, i) => `${i} ::= ${i + 1}`).join("\n")}\n14000 ::= "a"\nroot ::= 0`,
  ],
  [
    "too many rules",
    `root ::= "a"\n${Array.from({ length: 20_001 }, (_, i) => `${i} ::=\n`).join("")}`,
  ],
  ["too long a text", `root ::= "${"a".repeat(1024 * 1024)}"`],
];

for (const [what, gbnf] of Object.entries(TAKEN))
  test(`taken: ${what}`, () => {
    checkGrammar(gbnf);
  });

for (const [what, gbnf, line] of REFUSED)
  test(`refused: ${what}`, () => {
    assert.throws(
      () => checkGrammar(gbnf),
      (error) =>
        isShoalError(error, "REQUEST_INVALID") &&
        (line === undefined || error.details.line === line),
    );
  });

test("a large grammar is read in a moment", () => {
  const rules = Array.from(
    { length: 5_000 },
    (_, i) => `r${i} ::= "a" (r${(i + 1) % 5_000} | [a-z]{1,3})? # ${i}`,
  );
  checkGrammar(`root ::= r0\n${rules.join("\n")}`);
});
