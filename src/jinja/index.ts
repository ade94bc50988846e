/**
 * Jinja, as chat templates use it: an interpreter that writes what Jinja2 3.1.6 writes in the environment of transformers'
 * `apply_chat_template` (an immutable sandbox, `trim_blocks`, `lstrip_blocks`, `break` and `continue`, `tojson` without HTML).
 *
 *     const template = new JinjaTemplate("{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}");
 *     template.render({ messages: [{ role: "user", content: " Hello " }] }, { now: new Date() });
 *
 * A template comes with a model from strangers. It reaches only what is given to it, by tables of names and never by JavaScript's own
 * properties, and what it uses is bounded (`budget.ts`); the time is not: who renders sets a watchdog. `test/jinja` holds Jinja2's answers
 * to a battery of templates. What is left out is in docs/decisions/jinja-of-our-own.md.
 */
import { fromJson, type Json } from "./convert.ts";
import { parse } from "./parser.ts";
import { renderProgram } from "./render.ts";
import type { Statement } from "./syntax.ts";

export type { Json } from "./convert.ts";
export { JinjaError, TemplateRefusal } from "./errors.ts";
export { MAX_STEPS, MAX_TEXT_CHARS } from "./budget.ts";
export { strftime } from "./strftime.ts";

export interface RenderSettings {
  /** For `strftime_now`, in local time. */
  now: Date;
  /** For the filter `random`. */
  random?: () => number;
}

export class JinjaTemplate {
  #program: Statement[];

  /** Throws a JinjaError if the source is not Jinja. */
  constructor(source: string) {
    this.#program = parse(source);
  }

  /** Throws a TemplateRefusal where the template raises an exception on purpose, any other JinjaError where it fails. */
  render(
    variables: Readonly<Record<string, Json | undefined>>,
    { now, random = Math.random }: RenderSettings,
  ): string {
    const values = Object.entries(variables).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, fromJson(value)] as const],
    );
    return renderProgram(this.#program, {
      variables: new Map(values),
      now,
      random,
    });
  }
}
