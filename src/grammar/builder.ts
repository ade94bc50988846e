import { ShoalError } from "../lib/index.ts";
import { isJsonRule, jsonRule, type JsonRule } from "./json-rules.ts";
import { SchemaCompiler } from "./schema-compiler.ts";
import { unsupported } from "./schema-errors.ts";

/** More rules are no schema that a person wrote; llama.cpp keeps each as a vector. */
const MAX_RULES = 20_000;
/** Of a grammar's text: it travels with the request to the last stage. */
const MAX_GRAMMAR_CHARS = 1024 * 1024;
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
    try {
      return new SchemaCompiler(this, schema).compile(name);
    } catch (thrown) {
      // JSON.stringify of a value with thousands of levels.
      if (thrown instanceof RangeError)
        throw unsupported("$", "a value in it is nested too deeply");
      throw thrown;
    }
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

  /** The grammar's text, the root first. */
  toString(): string {
    const rules = [...this.#rules].toSorted(
      ([a], [b]) => Number(b === "root") - Number(a === "root"),
    );
    return rules.map(([name, body]) => `${name} ::= ${body}\n`).join("");
  }
}
