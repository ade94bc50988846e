import { ShoalError } from "../lib/index.ts";
import { checkGrammar } from "./check-grammar.ts";
import { literal, oneOf } from "./gbnf.ts";
import { isJsonRule, jsonRule, type JsonRule } from "./json-rules.ts";
import { regexRule, textWithoutRule } from "./plain-text.ts";
import { addAutomaton, automatonOf, type Budget } from "./regex/index.ts";
import { SchemaCompiler } from "./schema-compiler.ts";
import { unsupported } from "./schema-errors.ts";

/** More rules are no schema that a person wrote; llama.cpp keeps each as a vector. */
const MAX_RULES = 20_000;
/** Of a grammar's text: it travels with the request to the last stage. */
const MAX_GRAMMAR_CHARS = 256 * 1024;
/** Expressions and derivatives on the way from regular expressions to automata: about a second's work. */
const REGEX_BUDGET = 50_000;
/** Longer lists are written with what their texts begin with once: llama.cpp looks at each choice for each token. */
const MAX_LISTED = 16;
/** Names only help the reader. */
const MAX_NAME_CHARS = 64;

/**
 * A grammar, rule by rule. A name that is taken gets a number, so every `add…` gives the name to refer to.
 *
 *     const grammar = new GrammarBuilder();
 *     const args = grammar.addSchema("arguments", tool.parameters);
 *     grammar.addRule("root", `${literal("<tool_call>")} ${args} ${literal("</tool_call>")}`);
 */
export class GrammarBuilder {
  #rules = new Map<string, string>();
  #chars = 0;
  #made = new Map<string, string | undefined>();
  /** Of all regular expressions of the grammar together. */
  readonly budget: Budget = { left: REGEX_BUDGET };

  /** A rule `name ::= body`. The name "root" is where the text begins, and is never changed. */
  addRule(name: string, body: string): string {
    const free = this.#freeName(name, body);
    this.define(free, body);
    return free;
  }

  /**
   * The rule of the JSON that `schema` describes, white space after it included. Its name begins with `name` where the schema has a rule of
   * its own. Throws SCHEMA_UNSUPPORTED, with the path in the schema.
   */
  addSchema(name: string, schema: unknown): string {
    const [rules, made] = [new Map(this.#rules), new Map(this.#made)];
    try {
      return new SchemaCompiler(this, schema).compile(name);
    } catch (thrown) {
      // Half a schema's rules are none.
      [this.#rules, this.#made] = [rules, made];
      // JSON.stringify of a value with thousands of levels.
      if (thrown instanceof RangeError)
        throw unsupported("$", "a value in it is nested too deeply");
      throw thrown;
    }
  }

  /** The rule of the texts that `regex` matches as a whole. Throws REQUEST_INVALID. */
  addRegex(name: string, regex: string): string {
    return regexRule(regex, name, this);
  }

  /** The rule of the texts, the empty one too, in which none of `texts` stands. */
  addTextWithout(name: string, texts: readonly string[]): string {
    return textWithoutRule(texts, name, this);
  }

  /** The rule of one of these texts, then `end` if there is one. */
  addChoice(name: string, texts: readonly string[], end = ""): string {
    if (texts.length > MAX_LISTED)
      return addAutomaton(
        this,
        name,
        automatonOf(texts),
        (set) => set.map(([code]) => literal(String.fromCodePoint(code))),
        end,
      );
    return this.addRule(name, `${oneOf(texts.map(literal))} ${end}`.trim());
  }

  /** What `make` gives, made once for each `key`. */
  once(key: string, make: () => string | undefined): string | undefined {
    if (!this.#made.has(key)) this.#made.set(key, make());
    return this.#made.get(key);
  }

  /** A rule of JSON itself: any value, any string … */
  addJson(name: JsonRule): string {
    if (!this.#rules.has(name)) {
      const [body, uses] = jsonRule(name);
      this.define(name, body);
      for (const used of uses) this.addJson(used);
    }
    return name;
  }

  /** A name whose rule follows by `define`, for rules that refer to themselves. */
  reserve(name: string): string {
    const free = this.#freeName(name, undefined);
    this.define(free, "");
    return free;
  }

  define(name: string, body: string): void {
    this.#chars += name.length + body.length + 6;
    this.#rules.set(name, body);
    if (this.#rules.size > MAX_RULES || this.#chars > MAX_GRAMMAR_CHARS)
      throw new ShoalError(
        "SCHEMA_UNSUPPORTED",
        `the grammar would have more than ${MAX_RULES} rules or ${MAX_GRAMMAR_CHARS} characters: make the schema smaller`,
      );
  }

  #freeName(name: string, body: string | undefined): string {
    const plain =
      name
        .replace(/[^A-Za-z0-9-]+/g, "-")
        .slice(0, MAX_NAME_CHARS)
        .replace(/^-+/, "") || "rule";
    const isFree = (candidate: string): boolean =>
      !isJsonRule(candidate) &&
      (!this.#rules.has(candidate) || this.#rules.get(candidate) === body);
    if (isFree(plain)) return plain;
    let number = 1;
    while (!isFree(`${plain}-${number}`)) number++;
    return `${plain}-${number}`;
  }

  /** The grammar's text, the root first. Throws SCHEMA_UNSUPPORTED if llama.cpp would not take it. */
  toString(): string {
    const text = this.#text();
    try {
      checkGrammar(text);
    } catch (thrown) {
      const { message } = ShoalError.from(thrown);
      throw unsupported("$", `no grammar can be made of it: ${message}`);
    }
    return text;
  }

  #text(): string {
    const rules = [...this.#rules].toSorted(
      ([a], [b]) => Number(b === "root") - Number(a === "root"),
    );
    return rules.map(([name, body]) => `${name} ::= ${body}\n`).join("");
  }
}
