import type { Value } from "./values.ts";

/** Variables, and those around them. What is set in a loop, a macro or a `with` ends with it. */
export class Scope {
  #outer: Scope | undefined;
  #variables: Map<string, Value>;

  constructor(outer: Scope | undefined, variables = new Map<string, Value>()) {
    this.#outer = outer;
    this.#variables = variables;
  }

  get(name: string): Value | undefined {
    const value = this.#variables.get(name);
    return value === undefined ? this.#outer?.get(name) : value;
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}
