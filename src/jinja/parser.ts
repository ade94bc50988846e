/** Statements, by the rules of Jinja2's parser, with `break` and `continue` (loopcontrols) and transformers' `generation`. */
import { ExpressionParser } from "./expressions.ts";
import { tokensOf } from "./lexer.ts";
import type {
  Expression,
  FilterUse,
  Macro,
  Parameters,
  Statement,
  Target,
} from "./syntax.ts";

export function parse(template: string): Statement[] {
  return new Parser(tokensOf(template)).template();
}

class Parser extends ExpressionParser {
  /** Loops around, in the same macro. */
  #loops = 0;
  #blocks = new Set<string>();

  template(): Statement[] {
    return this.#body();
  }

  /** Statements up to a block that begins with one of `ends`, whose name is the next token then; without `ends` up to the end. */
  #body(...ends: string[]): Statement[] {
    return this.nested(() => {
      const body: Statement[] = [];
      for (;;) {
        const token = this.advance();
        if (token.type === "data") {
          body.push({ kind: "text", text: token.value });
        } else if (token.type === "print") {
          const value = this.tuple(() => this.isTupleEnd());
          body.push({ kind: "print", value });
          this.#endTag("end print");
        } else if (token.type === "block") {
          if (ends.some((end) => this.isNext("name", end))) return body;
          body.push(...this.#statement());
          this.#endTag("end block");
        } else if (ends.length > 0) {
          throw this.error(`there is no ${ends.join(" or ")}`);
        } else return body;
      }
    });
  }

  #endTag(type: "end print" | "end block"): void {
    if (this.current.type !== type) throw this.unexpected("the end of the tag");
    this.advance();
  }

  /** The rest of the tag, then statements up to `{% end %}`, whose name is taken. */
  #inside(...ends: string[]): Statement[] {
    this.#endTag("end block");
    return this.#body(...ends);
  }

  #until(end: string): Statement[] {
    const body = this.#inside(end);
    this.advance();
    return body;
  }

  #statement(): Statement[] {
    const keyword = this.expectName();
    switch (keyword) {
      case "for":
        return [this.#for()];
      case "if":
        return [this.#if()];
      case "set":
        return [this.#set()];
      case "with":
        return [this.#with()];
      case "macro":
        return [this.#macro()];
      case "call":
        return [this.#callBlock()];
      case "filter":
        return [this.#filterBlock()];
      case "block":
        return [this.#block()];
      case "print":
        return this.#print();
      case "generation":
        return [{ kind: "scope", body: this.#ofMacro("endgeneration").body }];
      case "autoescape":
        return [this.#autoescape()];
      case "break":
      case "continue":
        if (this.#loops === 0) throw this.error(`${keyword} outside of a loop`);
        return [{ kind: keyword }];
      case "include":
      case "extends":
      case "import":
      case "from":
        return [this.#foreign(keyword)];
      default:
        throw this.error(`unknown statement "${keyword}"`);
    }
  }

  #for(): Statement {
    const target = this.#target(() => this.isNext("name", "in"));
    if (namesOf(target).includes("loop")) throw this.error("loop is taken");
    this.expect("name", "in");
    const items = this.tupleWithoutIf(
      () => this.isTupleEnd() || this.isNext("name", "recursive"),
    );
    const test = this.skip("name", "if") ? this.expression() : undefined;
    const isRecursive = this.skip("name", "recursive");
    this.#loops++;
    const body = this.#inside("endfor", "else");
    this.#loops--;
    const hasElse = this.expectName() === "else";
    const otherwise = hasElse ? this.#until("endfor") : [];
    return { kind: "for", target, items, test, isRecursive, body, otherwise };
  }

  #if(): Statement {
    const branches = [];
    for (;;) {
      const test = this.tupleWithoutIf();
      const body = this.#inside("elif", "else", "endif");
      branches.push({ test, body });
      const next = this.expectName();
      if (next === "elif") continue;
      const otherwise = next === "else" ? this.#until("endif") : [];
      return { kind: "if", branches, otherwise };
    }
  }

  #set(): Statement {
    const target = this.#target(() => this.isTupleEnd(), true);
    if (this.skip("symbol", "=")) {
      const value = this.tuple(() => this.isTupleEnd());
      return { kind: "set", target, value };
    }
    const filters = this.#filters();
    return { kind: "set block", target, filters, body: this.#until("endset") };
  }

  #filters(): FilterUse[] {
    const filters: FilterUse[] = [];
    while (this.skip("symbol", "|")) filters.push(this.filter());
    return filters;
  }

  #with(): Statement {
    const values: [Target, Expression][] = [];
    while (this.current.type !== "end block") {
      if (values.length > 0) this.expect("symbol", ",");
      const target = this.#target(() => this.isNext("symbol", "="));
      this.expect("symbol", "=");
      values.push([target, this.expression()]);
    }
    return { kind: "with", values, body: this.#until("endwith") };
  }

  #macro(): Statement {
    const name = this.#newName();
    const parameters = this.#parameters();
    const macro = this.#ofMacro("endmacro", name, parameters);
    return { kind: "macro", macro };
  }

  #callBlock(): Statement {
    const hasParameters = this.isNext("symbol", "(");
    const parameters = hasParameters ? this.#parameters() : undefined;
    const call = this.expression();
    if (call.kind !== "call") throw this.error("call without a call");
    const macro = this.#ofMacro("endcall", null, parameters);
    return {
      kind: "call block",
      callee: call.callee,
      call: call.call,
      macro,
    };
  }

  /** A macro's body is a function: it sees no loop around it, and which of the special names it uses decides what it takes. */
  #ofMacro(
    end: string,
    name: string | null = null,
    parameters: Parameters = { names: [], defaults: [] },
  ): Macro {
    const used = new Set<string>();
    this.usedNames.push(used);
    const loops = this.#loops;
    this.#loops = 0;
    const body = this.#until(end);
    this.#loops = loops;
    this.usedNames.pop();
    return {
      name,
      ...parameters,
      body,
      usesCaller: used.has("caller"),
      usesVarargs: used.has("varargs"),
      usesKwargs: used.has("kwargs"),
    };
  }

  #parameters(): Parameters {
    const names: string[] = [];
    const defaults: Expression[] = [];
    this.expect("symbol", "(");
    while (!this.isNext("symbol", ")")) {
      if (names.length > 0) this.expect("symbol", ",");
      names.push(this.#newName());
      if (this.skip("symbol", "=")) defaults.push(this.expression());
      else if (defaults.length > 0) {
        throw this.error("a parameter without default behind one with");
      }
    }
    this.expect("symbol", ")");
    return { names, defaults };
  }

  #filterBlock(): Statement {
    const filters = [this.filter(), ...this.#filters()];
    const body = this.#until("endfilter");
    return { kind: "filter block", filters, body };
  }

  #block(): Statement {
    const name = this.expectName();
    if (this.#blocks.has(name)) throw this.error(`block "${name}" twice`);
    this.#blocks.add(name);
    const isScoped = this.skip("name", "scoped");
    this.skip("name", "required");
    const loops = this.#loops;
    this.#loops = 0;
    const body = this.#until("endblock");
    this.#loops = loops;
    this.skip("name", name);
    return { kind: "block", isScoped, body };
  }

  #print(): Statement[] {
    const statements: Statement[] = [];
    while (this.current.type !== "end block") {
      if (statements.length > 0) this.expect("symbol", ",");
      statements.push({ kind: "print", value: this.expression() });
    }
    return statements;
  }

  #autoescape(): Statement {
    const on = this.expression();
    const body = this.#until("endautoescape");
    return on.kind === "value" && on.value === false
      ? { kind: "scope", body }
      : { kind: "refused", why: "autoescape is not supported" };
  }

  /** There are no other templates beside a model's. */
  #foreign(keyword: string): Statement {
    while (this.current.type !== "end block") {
      if (this.current.type === "end") throw this.unexpected();
      this.advance();
    }
    return { kind: "refused", why: `there is no template to ${keyword}` };
  }

  #newName(): string {
    const target = this.#one(false);
    if (target.kind !== "name") throw this.error("not a name");
    return target.name;
  }

  /** What is assigned to: names and tuples of them, fields of a namespace only where `withFields`. */
  #target(isEnd: () => boolean, withFields = false): Target {
    const items: Target[] = [];
    do {
      if (items.length > 0 && isEnd()) return { kind: "tuple", items };
      items.push(this.#one(withFields));
    } while (this.skip("symbol", ","));
    const [only] = items;
    return items.length === 1 && only !== undefined
      ? only
      : { kind: "tuple", items };
  }

  #one(withFields: boolean): Target {
    if (this.skip("symbol", "(")) {
      const close = (): boolean => this.isNext("symbol", ")");
      const inner = this.nested(() => this.#target(close, withFields));
      this.expect("symbol", ")");
      return inner;
    }
    const parsed = this.primary();
    if (parsed.kind !== "name") throw this.error("nothing to assign to");
    const { name } = parsed;
    if (withFields && this.skip("symbol", ".")) {
      return { kind: "field", of: name, name: this.expectName() };
    }
    return { kind: "name", name };
  }
}

function namesOf(target: Target): string[] {
  if (target.kind === "tuple") return target.items.flatMap(namesOf);
  return target.kind === "name" ? [target.name] : [];
}
