/**
 * A rule that begins with itself, with something to follow, could be entered for ever. llama.cpp looks only at rules that are plainly empty, and takes exponential time
 * for some grammars; here each rule is looked at once.
 */
import type { ShoalError } from "../../lib/index.ts";
import { type Gbnf, NodeKind } from "./gbnf-tables.ts";

interface First {
  rule: number;
  /** Nothing follows it: to enter it again leaves nothing to come back to. */
  isLast: boolean;
}

/** Throws what `error` makes of the number of such a rule. */
export function refuseLeftRecursion(
  grammar: Gbnf,
  error: (rule: number) => ShoalError,
): void {
  const first = firstRules(grammar, emptyRules(grammar));
  const group = groups(first.map((rules) => rules.map(({ rule }) => rule)));
  for (const [rule, others] of first.entries())
    for (const other of others)
      if (!other.isLast && group[rule] === group[other.rule])
        throw error(other.rule);
}

/** Tarjan's algorithm: two rules have the same number if each can be reached from the other. */
function groups(edges: readonly (readonly number[])[]): number[] {
  const group: number[] = [];
  const order: number[] = [];
  const lowest: number[] = [];
  const open: number[] = [];
  let count = 0;
  for (let start = 0; start < edges.length; start++) {
    if (order[start] !== undefined) continue;
    const path = [{ rule: start, next: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { rule } = top;
      if (top.next === 0) {
        order[rule] = lowest[rule] = count++;
        open.push(rule);
      }
      const low = lowest[rule] ?? 0;
      const next = edges[rule]?.[top.next++];
      if (next !== undefined) {
        if (order[next] === undefined) path.push({ rule: next, next: 0 });
        else if (group[next] === undefined)
          lowest[rule] = Math.min(low, order[next] ?? 0);
        continue;
      }
      if (low === order[rule])
        for (let one = -1; one !== rule; group[one] = rule)
          one = open.pop() ?? rule;
      path.pop();
      const above = path.at(-1)?.rule;
      if (above !== undefined)
        lowest[above] = Math.min(lowest[above] ?? 0, low);
    }
  }
  return group;
}

/** Rules that may be nothing. */
function emptyRules({ kinds, values, rules }: Gbnf): ReadonlySet<number> {
  const isEmpty = new Set<number>();
  /** Of each rule: alternatives that wait to hear that it may be empty, at the place of its mention. */
  const waiting = new Map<number, { rule: number; at: number }[]>();
  const todo = rules.flatMap((starts, rule) =>
    starts.map((at) => ({ rule, at })),
  );
  for (let one = todo.pop(); one !== undefined; one = todo.pop()) {
    const { rule } = one;
    let { at } = one;
    const mentions = (place: number): number => values[place] ?? 0;
    while (kinds[at] === NodeKind.Rule && isEmpty.has(mentions(at))) at++;
    if (kinds[at] === NodeKind.Rule) {
      const others = waiting.get(mentions(at)) ?? [];
      others.push({ rule, at });
      waiting.set(mentions(at), others);
    } else if (kinds[at] === NodeKind.End && !isEmpty.has(rule)) {
      isEmpty.add(rule);
      todo.push(...(waiting.get(rule) ?? []));
      waiting.delete(rule);
    }
  }
  return isEmpty;
}

/** Of each rule those that it can begin with. */
function firstRules(
  { kinds, values, rules }: Gbnf,
  isEmpty: ReadonlySet<number>,
): First[][] {
  return rules.map((starts) => {
    const first: First[] = [];
    for (const start of starts)
      for (let at = start; kinds[at] === NodeKind.Rule; at++) {
        const rule = values[at] ?? 0;
        first.push({ rule, isLast: kinds[at + 1] === NodeKind.End });
        if (!isEmpty.has(rule)) break;
      }
    return first;
  });
}
