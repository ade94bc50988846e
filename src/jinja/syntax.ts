/** What the parser makes of a template and the renderer runs. */
import type { Value } from "./values.ts";

export interface CallArguments {
  args: Expression[];
  named: [string, Expression][];
  /** `*list` and `**dict`. */
  rest: Expression | undefined;
  restNamed: Expression | undefined;
}

export interface FilterUse {
  name: string;
  call: CallArguments;
}

export type Expression =
  | { kind: "value"; value: Value }
  | { kind: "name"; name: string }
  | { kind: "list" | "tuple"; items: Expression[] }
  | { kind: "dict"; items: [Expression, Expression][] }
  | { kind: "if"; test: Expression; yes: Expression; no?: Expression }
  | { kind: "and" | "or"; left: Expression; right: Expression }
  | { kind: "not"; value: Expression }
  | { kind: "sign"; sign: "-" | "+"; value: Expression }
  | { kind: "compare"; first: Expression; rest: [string, Expression][] }
  | { kind: "concat"; items: Expression[] }
  | { kind: "math"; operator: string; left: Expression; right: Expression }
  | { kind: "attribute"; of: Expression; name: string }
  | { kind: "item"; of: Expression; key: Expression }
  | { kind: "slice"; of: Expression; bounds: (Expression | undefined)[] }
  | { kind: "call"; callee: Expression; call: CallArguments }
  | { kind: "filter"; value: Expression; filter: FilterUse }
  | { kind: "test"; value: Expression; name: string; call: CallArguments };

export type Target =
  | { kind: "name"; name: string }
  | { kind: "field"; of: string; name: string }
  | { kind: "tuple"; items: Target[] };

export interface Parameters {
  names: string[];
  /** Of the last names. */
  defaults: Expression[];
}

export interface Macro extends Parameters {
  name: string | null;
  body: Statement[];
  usesCaller: boolean;
  usesVarargs: boolean;
  usesKwargs: boolean;
}

export type Statement =
  | { kind: "text"; text: string }
  | { kind: "print"; value: Expression }
  | {
      kind: "for";
      target: Target;
      items: Expression;
      test: Expression | undefined;
      isRecursive: boolean;
      body: Statement[];
      otherwise: Statement[];
    }
  | {
      kind: "if";
      branches: { test: Expression; body: Statement[] }[];
      otherwise: Statement[];
    }
  | { kind: "set"; target: Target; value: Expression }
  | {
      kind: "set block";
      target: Target;
      filters: FilterUse[];
      body: Statement[];
    }
  | { kind: "with"; values: [Target, Expression][]; body: Statement[] }
  | { kind: "macro"; macro: Macro }
  | {
      kind: "call block";
      callee: Expression;
      call: CallArguments;
      macro: Macro;
    }
  | { kind: "filter block"; filters: FilterUse[]; body: Statement[] }
  /** `block`: sees the template's own variables, and those around it only where it says `scoped`. */
  | { kind: "block"; isScoped: boolean; body: Statement[] }
  | { kind: "scope"; body: Statement[] }
  | { kind: "break" | "continue" }
  | { kind: "refused"; why: string };
