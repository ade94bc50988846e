import assert from "node:assert/strict";
import { test } from "node:test";
import { TextGrammar } from "../../test/support/gbnf.ts";
import { isShoalError } from "../lib/index.ts";
import {
  choiceToGrammar,
  GrammarBuilder,
  literal,
  schemaToGrammar,
} from "./index.ts";

test("a schema's rules are readable", () => {
  const grammar = schemaToGrammar({
    type: "object",
    properties: {
      kind: { enum: ["a", 1] },
      age: { type: "integer", minimum: 3, maximum: 120 },
    },
    required: ["kind"],
  });
  assert.equal(
    grammar,
    String.raw`root ::= answer
space ::= | " " | "\n"{1,2} [ \t]{0,20}
answer-kind ::= ("\"a\"" | "1") space
answer-kind-kv ::= "\"kind\"" space ":" space answer-kind
answer-age ::= ([3-9] | [1-9] [0-9] | "1" ([0-1] [0-9] | "2" "0")) space
answer-age-kv ::= "\"age\"" space ":" space answer-age
answer ::= "{" space answer-kind-kv ("," space answer-age-kv)? "}" space
`,
  );
});

test("choices are texts, whatever is in them", () => {
  assert.equal(
    choiceToGrammar(["yes", 'a "quoted"\n\\']),
    'root ::= choice\nchoice ::= ("yes" | "a \\"quoted\\"\\n\\\\")\n',
  );
  for (const choices of [[], [""], ["a\0"]])
    assert.throws(
      () => choiceToGrammar(choices),
      (error) => isShoalError(error, "REQUEST_INVALID"),
    );
});

test("a long list of choices is read from what its texts begin with", () => {
  const choices = Array.from({ length: 3000 }, (_, i) => `choice ${i}`);
  const gbnf = choiceToGrammar(choices);
  const grammar = new TextGrammar(gbnf);
  for (const choice of choices.slice(-200)) assert.ok(grammar.accepts(choice));
  for (const text of ["choice", "choice 3000", "choice 10x"])
    assert.ok(!grammar.accepts(text));
});

test("long strings and lists stay within what llama.cpp takes", () => {
  for (const [schema, fits, toolong] of [
    [{ type: "string", maxLength: 2500 }, 2500, 2501],
    [{ type: "string", minLength: 2001, maxLength: 2500 }, 2001, 2000],
    [{ type: "array", items: { type: "null" }, maxItems: 2500 }, 2500, 2501],
    [{ type: "array", items: { type: "null" }, minItems: 1500 }, 1500, 1499],
  ] as const) {
    const grammar = new TextGrammar(schemaToGrammar(schema));
    const text = (length: number): string =>
      schema.type === "string"
        ? JSON.stringify("a".repeat(length))
        : JSON.stringify(Array.from({ length }, () => null));
    assert.ok(grammar.accepts(text(fits)));
    assert.ok(!grammar.accepts(text(toolong)));
  }
  schemaToGrammar({
    type: "array",
    items: { type: "string", maxLength: 100 },
    maxItems: 10_000,
  });
  schemaToGrammar({ type: "string", maxLength: 20_000 });
});

test("a schema that begins with itself is refused", () => {
  for (const schema of [
    { $ref: "#" },
    { anyOf: [{ type: "null" }, { $ref: "#" }] },
  ])
    assert.throws(
      () => schemaToGrammar(schema),
      (error) => isShoalError(error, "SCHEMA_UNSUPPORTED"),
    );
});

test("a refused schema leaves nothing in the grammar", () => {
  const grammar = new GrammarBuilder();
  assert.throws(() =>
    grammar.addSchema("a", {
      type: "array",
      items: { anyOf: [{ type: "string", maxLength: 3 }, { not: {} }] },
    }),
  );
  grammar.addRule("root", grammar.addSchema("b", { type: "null" }));
  assert.doesNotMatch(grammar.toString(), /string|^a/m);
});

test("a builder gives a taken name a number, and equal rules one name", () => {
  const grammar = new GrammarBuilder();
  const first = grammar.addRule("a b", literal("x"));
  assert.equal(first, "a-b");
  assert.equal(grammar.addRule("a.b", literal("x")), "a-b");
  assert.equal(grammar.addRule("a.b", literal("y")), "a-b-1");
  assert.equal(grammar.addRule("string", literal("y")), "string-1");
  grammar.addRule("root", first);
  assert.match(grammar.toString(), /^root ::= a-b\n/);
});
