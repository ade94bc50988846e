/**
 * Text that keeps to a grammar. llama.cpp has this too, but its grammars end the process where one is taken further than it goes, or take
 * time without bound; these do neither, and allow the same tokens (grammar.test.ts compares them).
 *
 *     const rules = new GrammarRules({ gbnf: 'root ::= "yes" | "no"' }, pieces, (text) => tokenOf(text));
 *     if (!rules.allows(token)) …                            // draw again among rules.allowed()
 *     rules.accept(token);
 */
import type { Grammar } from "../sampling.ts";
import { Constraint } from "./constraint.ts";
import { compileGbnf } from "./gbnf.ts";
import type { Pieces } from "./pieces.ts";
import { Trigger } from "./trigger.ts";

export class GrammarRules {
  readonly #constraint: Constraint;
  readonly #pieces: Pieces;
  /** Undefined when the grammar has begun. */
  #trigger: Trigger | undefined;

  /** Throws GRAMMAR_INVALID. */
  constructor(
    { gbnf, triggers }: Grammar,
    pieces: Pieces,
    tokenOf: (text: string) => number | undefined,
  ) {
    this.#pieces = pieces;
    this.#constraint = new Constraint(compileGbnf(gbnf, tokenOf), pieces);
    this.#trigger =
      triggers !== undefined && triggers.length > 0
        ? new Trigger(triggers)
        : undefined;
  }

  /** Whether a token may come next. Throws GRAMMAR_INVALID if that takes too much work. */
  allows(token: number): boolean {
    return this.#trigger !== undefined || this.#constraint.allows(token);
  }

  /** Those that may come next, a bit each. Throws GRAMMAR_INVALID if that takes too much work. */
  allowed(): Uint8Array {
    return this.#constraint.allowed();
  }

  /** The next token is there. Throws GRAMMAR_STUCK if it may not come. */
  accept(token: number): void {
    const bytes = this.#pieces.of(token);
    if (this.#trigger === undefined) {
      this.#constraint.accept(token, bytes);
      return;
    }
    const begun = this.#trigger.push(token, bytes);
    if (begun === undefined) return;
    this.#trigger = undefined;
    for (const one of begun) this.#constraint.accept(one.token, one.bytes);
  }
}
