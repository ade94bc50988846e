/** A macro, or the body of a `call` block, as a function. */
import { fail } from "./errors.ts";
import type { Renderer } from "./render.ts";
import { Scope } from "./scope.ts";
import type { Macro } from "./syntax.ts";
import {
  Callable,
  Dict,
  Tuple,
  Undefined,
  type Arguments,
  type Value,
} from "./values.ts";

export class MacroFunction extends Callable {
  override readonly typeName = "Macro";
  #renderer: Pick<Renderer, "evaluate" | "text">;
  #macro: Macro;
  #scope: Scope;

  constructor(
    renderer: Pick<Renderer, "evaluate" | "text">,
    macro: Macro,
    scope: Scope,
  ) {
    super();
    this.#renderer = renderer;
    this.#macro = macro;
    this.#scope = scope;
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case "name":
        return this.#macro.name;
      case "arguments":
        return new Tuple(this.#macro.names);
      case "catch_kwargs":
        return this.#macro.usesKwargs;
      case "catch_varargs":
        return this.#macro.usesVarargs;
      case "caller":
        return this.#macro.usesCaller;
      default:
        return undefined;
    }
  }

  override repr(): string {
    const { name } = this.#macro;
    return `<Macro ${name === null ? "anonymous" : `'${name}'`}>`;
  }

  override call({ args, named }: Arguments): Value {
    const macro = this.#macro;
    const { names, usesVarargs } = macro;
    const what = `macro '${macro.name ?? "caller"}'`;
    if (args.length > names.length && !usesVarargs) {
      fail(`${what} takes not more than ${names.length} arguments`);
    }
    const scope = new Scope(this.#scope);
    const rest = new Map(named);
    for (const [i, name] of names.entries()) {
      if (args.length > i && rest.has(name)) {
        fail(`${what} got two values for '${name}'`);
      }
      const value = args.length > i ? args[i] : rest.get(name);
      rest.delete(name);
      scope.set(name, value === undefined ? this.#default(i, scope) : value);
    }
    this.#special(scope, rest, what);
    if (usesVarargs) scope.set("varargs", new Tuple(args.slice(names.length)));
    return this.#renderer.text(macro.body, scope);
  }

  #default(index: number, scope: Scope): Value {
    const { names, defaults } = this.#macro;
    const node = defaults[index - names.length + defaults.length];
    if (node !== undefined) return this.#renderer.evaluate(node, scope);
    return new Undefined(`parameter '${names[index]}' was not provided`);
  }

  #special(scope: Scope, rest: Map<string, Value>, what: string): void {
    const { usesCaller, usesKwargs, names } = this.#macro;
    if (usesCaller && !names.includes("caller")) {
      const caller = rest.get("caller") ?? new Undefined("no caller defined");
      scope.set("caller", caller);
      rest.delete("caller");
    }
    if (usesKwargs) scope.set("kwargs", new Dict(rest));
    else if (rest.size > 0) {
      fail(`${what} takes no argument '${[...rest.keys()][0]}'`);
    }
  }
}
