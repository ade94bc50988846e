/**
 * Grammars in GBNF, llama.cpp's notation, that hold a model's reply to a form: a JSON schema, a regular expression, a few choices.
 *
 *     schemaToGrammar({ type: "object", properties: { age: { type: "integer", minimum: 0 } }, required: ["age"] });
 *     regexToGrammar("[A-Z]{2}-[0-9]+");
 *     choiceToGrammar(["yes", "no"]);
 *     parseGbnf('root ::= "yes" | "no"'); // the one reader of the notation: checkGrammar judges, and the engine compiles what it reads
 *
 * A text that a grammar allows always fulfils the schema. Not every value that fulfils it can be written: an object's properties come in the
 * schema's order, and only those that it names. What no grammar here can hold is refused (docs/STRUCTURED-OUTPUT.md).
 */
import { ShoalError } from "../lib/index.ts";
import { GrammarBuilder } from "./builder.ts";

export { GrammarBuilder } from "./builder.ts";
export { checkGrammar } from "./check-grammar.ts";
export { type CharRange, literal, repeat } from "./gbnf.ts";
export {
  type GbnfRule,
  type GbnfSymbol,
  MAX_GRAMMAR_CHARS,
  parseGbnf,
} from "./gbnf-parser.ts";
export type { JsonRule } from "./json-rules.ts";

/** Of `choiceToGrammar`, all together: they travel with the request. */
const MAX_CHOICE_CHARS = 64 * 1024;

/** A grammar whose text is JSON that fulfils `schema`. Throws SCHEMA_UNSUPPORTED, with the path in the schema. */
export function schemaToGrammar(schema: unknown): string {
  const grammar = new GrammarBuilder();
  grammar.addRule("root", grammar.addSchema("answer", schema));
  return grammar.toString();
}

/** A grammar of any JSON object. */
export function jsonGrammar(): string {
  const grammar = new GrammarBuilder();
  grammar.addRule("root", grammar.addJson("object"));
  return grammar.toString();
}

/**
 * A grammar of the texts that a regular expression matches as a whole. Throws REQUEST_INVALID for what is not regular (back references), not
 * common to JavaScript and Python, or too large.
 */
export function regexToGrammar(regex: string): string {
  const grammar = new GrammarBuilder();
  grammar.addRule("root", grammar.addRegex("text", regex));
  return grammar.toString();
}

/** A grammar of one of these texts. Throws REQUEST_INVALID if there is none, or an empty one. */
export function choiceToGrammar(choices: readonly string[]): string {
  const chars = choices.reduce((sum, choice) => sum + choice.length, 0);
  if (choices.length === 0 || chars > MAX_CHOICE_CHARS)
    throw new ShoalError(
      "REQUEST_INVALID",
      `expected one or more choices, of ${MAX_CHOICE_CHARS} characters together at most`,
    );
  if (choices.some((choice) => choice === "" || choice.includes("\0")))
    throw new ShoalError(
      "REQUEST_INVALID",
      "a choice must have a character, and none of code 0",
    );
  const grammar = new GrammarBuilder();
  grammar.addRule("root", grammar.addChoice("choice", choices));
  return grammar.toString();
}
