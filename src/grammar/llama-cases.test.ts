/** llama.cpp's own cases of its converter: texts drawn from its grammar must be allowed by ours, and the other way round. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TextGrammar } from "../../test/support/gbnf.ts";
import { Random } from "../../test/support/random.ts";
import { isShoalError } from "../lib/index.ts";
import { jsonRule } from "./json-rules.ts";
import { checkGrammar, schemaToGrammar } from "./index.ts";

interface LlamaCase {
  name: string;
  schema: unknown;
  /** Null if the schema is to be refused. */
  grammar: string[] | null;
}

const { cases } = JSON.parse(
  readFileSync(
    join(import.meta.dirname, "../../test/grammar/llama-cases.json"),
    "utf8",
  ),
) as { cases: LlamaCase[] };

const DRAWS = 60;

type Difference = readonly [how: "wider" | "narrower" | "both", why: string];

const ZERO: Difference = ["narrower", "a bounded integer is 0, never -0"];
const ANY: Difference = [
  "wider",
  "an empty schema is any value, not only an object",
];
const NAMES: Difference = [
  "both",
  "an additional name may begin like a named one, but has no control character or lone backslash, and writes nothing as \\u",
];

/** Where ours differs on purpose: what it also allows ("wider"), or does not ("narrower"), and why. */
const DIFFERENT: Readonly<Record<string, Difference>> = {
  "min -5": ZERO,
  "min -123": ZERO,
  "min -123 max 42": ZERO,
  "min -10 max 10": ZERO,
  "min + max items with min + max values across zero": ZERO,
  "max -5": ["narrower", "JSON has no number that begins with 0"],
  "empty schema (object)": ANY,
  "array with empty items": ANY,
  "array with empty items and prefixItems": ANY,
  "exotic formats": [
    "both",
    "a month has the days that it has, and a second any number of decimals",
  ],
  "regexp quote": ["both", "a quotation mark in a string needs a backslash"],
  "regexp with top-level alternation": [
    "wider",
    "^ and $ belong to the first and the last choice only",
  ],
  regexp: ["both", "a dot is no quotation mark, backslash or line end"],
  "required + additional props": NAMES,
  "optional + additional props": NAMES,
  "required + optional + additional props": NAMES,
  "optional props with nested names": NAMES,
  "optional props with common prefix": NAMES,
  "optional props with empty name": [
    "both",
    "theirs takes the property of the empty name for the whole",
  ],
  "mix of allOf, anyOf and $ref (similar to https://json.schemastore.org/tsconfig.json)":
    [
      "both",
      "no property is required there, and each case of anyOf has its own properties",
    ],
};

/** Three rules of JSON differ in every grammar of ours: an exponent is finite, a surrogate comes in a pair, and white space may have two new lines, as in newer ones of llama.cpp. */
function withOurJson(grammar: readonly string[]): string {
  return grammar
    .join("\n")
    .replace("([eE] [-+]? integral-part)?", "([eE] [-+]? [0-9]{1,2})?")
    .replace(/^space ::= .*$/m, `space ::= ${jsonRule("space")[0]}`)
    .replace(/^char ::= .*$/m, `char ::= ${jsonRule("char")[0]}`);
}

for (const { name, schema, grammar } of cases) {
  if (grammar === null) {
    test(`refused: ${name}`, () => {
      assert.throws(
        () => schemaToGrammar(schema),
        (error) => isShoalError(error, "SCHEMA_UNSUPPORTED"),
      );
    });
    continue;
  }
  const [how, why] = DIFFERENT[name] ?? ["equal", undefined];
  test(`${name}${why === undefined ? "" : `: ${how}, because ${why}`}`, () => {
    const gbnf = schemaToGrammar(schema);
    checkGrammar(gbnf);
    const ours = new TextGrammar(gbnf);
    const theirs = new TextGrammar(withOurJson(grammar));
    const random = new Random(15, name);
    const draw = (from: TextGrammar): string[] =>
      Array.from({ length: DRAWS }, () => from.draw(random, 200));
    const onlyTheirs = draw(theirs).filter((text) => !ours.accepts(text));
    const onlyOurs = draw(ours).filter((text) => !theirs.accepts(text));
    assert.equal(
      onlyTheirs.length > 0,
      how === "narrower" || how === "both",
      `ours refuses ${JSON.stringify(onlyTheirs[0])}`,
    );
    assert.equal(
      onlyOurs.length > 0,
      how === "wider" || how === "both",
      `theirs refuses ${JSON.stringify(onlyOurs[0])}`,
    );
  });
}
