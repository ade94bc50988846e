/** Runs what the parser made, with Jinja2's scopes. */
import { Sink } from "./budget.ts";
import { fail } from "./errors.ts";
import { Evaluator, type RenderContext } from "./evaluator.ts";
import { globals } from "./globals.ts";
import { Loop } from "./loop.ts";
import { MacroFunction } from "./macro.ts";
import { itemsOf, listOf } from "./operators.ts";
import { textOf } from "./printing.ts";
import { Scope } from "./scope.ts";
import type { FilterUse, Statement, Target } from "./syntax.ts";
import { isTrue, Namespace, type Value } from "./values.ts";

/** How a list of statements ended. */
type Ending = "end" | "break" | "continue";

export function renderProgram(
  program: readonly Statement[],
  context: RenderContext,
): string {
  return new Renderer(context).render(program);
}

export class Renderer extends Evaluator {
  #root: Scope;

  constructor(context: RenderContext) {
    super(context);
    const all = new Map([...globals(this), ...context.variables]);
    this.#root = new Scope(new Scope(undefined, all));
  }

  render(program: readonly Statement[]): string {
    return this.text(program, this.#root);
  }

  /** What statements write. */
  text(body: readonly Statement[], scope: Scope): string {
    const sink = new Sink();
    this.#run(body, scope, sink);
    const { text } = sink;
    this.budget.chars(text.length);
    return text;
  }

  #run(body: readonly Statement[], scope: Scope, sink: Sink): Ending {
    for (const statement of body) {
      this.budget.step();
      const ending = this.#statement(statement, scope, sink);
      if (ending !== "end") return ending;
    }
    return "end";
  }

  #statement(statement: Statement, scope: Scope, sink: Sink): Ending {
    switch (statement.kind) {
      case "text":
        sink.write(statement.text);
        return "end";
      case "print":
        sink.write(textOf(this.evaluate(statement.value, scope)));
        return "end";
      case "if": {
        const branch = statement.branches.find(({ test }) =>
          isTrue(this.evaluate(test, scope)),
        );
        return this.#run(branch?.body ?? statement.otherwise, scope, sink);
      }
      case "for": {
        const items = this.evaluate(statement.items, scope);
        this.#loop(statement, items, scope, sink, 0);
        return "end";
      }
      case "set":
        this.#assign(
          statement.target,
          this.evaluate(statement.value, scope),
          scope,
        );
        return "end";
      case "set block": {
        const { target, filters, body } = statement;
        const text = this.text(body, new Scope(scope));
        this.#assign(target, this.#filtered(text, filters, scope), scope);
        return "end";
      }
      case "with": {
        const inner = new Scope(scope);
        const values = statement.values.map(
          ([target, value]) => [target, this.evaluate(value, scope)] as const,
        );
        for (const [target, value] of values)
          this.#assign(target, value, inner);
        return this.#run(statement.body, inner, sink);
      }
      case "macro":
        scope.set(
          statement.macro.name ?? "",
          new MacroFunction(this, statement.macro, scope),
        );
        return "end";
      case "call block": {
        const given = this.given(statement.call, scope);
        given.named.set(
          "caller",
          new MacroFunction(this, statement.macro, scope),
        );
        const callee = this.evaluate(statement.callee, scope);
        sink.write(textOf(this.call(callee, given)));
        return "end";
      }
      case "filter block": {
        const text = this.text(statement.body, new Scope(scope));
        sink.write(textOf(this.#filtered(text, statement.filters, scope)));
        return "end";
      }
      case "block": {
        const outer = statement.isScoped ? scope : this.#root;
        return this.#run(statement.body, new Scope(outer), sink);
      }
      case "scope":
        return this.#run(statement.body, new Scope(scope), sink);
      case "break":
      case "continue":
        return statement.kind;
      default:
        return fail(statement.why);
    }
  }

  #loop(
    loop: Extract<Statement, { kind: "for" }>,
    source: Value,
    scope: Scope,
    sink: Sink,
    depth: number,
  ): void {
    const { target, body } = loop;
    const items = this.#loopItems(loop, source, scope);
    const again = loop.isRecursive
      ? (inner: Value): string => {
          const nested = new Sink();
          this.budget.nested(() => {
            this.#loop(loop, inner, scope, nested, depth + 1);
          });
          return nested.text;
        }
      : undefined;
    const context = new Loop(items, depth, again);
    let isDone = false;
    for (const item of items) {
      this.budget.step();
      context.advance();
      const inner = new Scope(scope);
      inner.set("loop", context);
      this.#assign(target, item, inner);
      const ending = this.#run(body, inner, sink);
      if (ending === "break") break;
      isDone ||= ending === "end";
    }
    // As Jinja2: `else` is for a loop of which no turn came to its end.
    if (!isDone) this.#run(loop.otherwise, new Scope(scope), sink);
  }

  #loopItems(
    { target, test }: Extract<Statement, { kind: "for" }>,
    source: Value,
    scope: Scope,
  ): Value[] {
    const items = listOf(source, this.budget);
    if (test === undefined) return items;
    return items.filter((item) => {
      const inner = new Scope(scope);
      this.#assign(target, item, inner);
      return isTrue(this.evaluate(test, inner));
    });
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    switch (target.kind) {
      case "name":
        scope.set(target.name, value);
        return;
      case "field": {
        const namespace = scope.get(target.of);
        if (!(namespace instanceof Namespace)) {
          fail("cannot assign attribute on non-namespace object");
        }
        namespace.fields.set(target.name, value);
        return;
      }
      case "tuple": {
        const values = [...itemsOf(value)];
        if (values.length !== target.items.length) {
          fail(
            `${values.length} values for ${target.items.length} names to assign to`,
          );
        }
        for (const [i, one] of target.items.entries()) {
          this.#assign(one, values[i] as Value, scope);
        }
      }
    }
  }

  #filtered(text: Value, filters: readonly FilterUse[], scope: Scope): Value {
    return filters.reduce(
      (value, { name, call }) =>
        this.filter(name, value, this.given(call, scope)),
      text,
    );
  }
}
