/** An automaton as rules: each state is one, and says which characters lead where. */
import { literal, oneOf } from "../gbnf.ts";
import type { State } from "./automaton.ts";
import type { CharSet } from "./char-set.ts";

export interface Rules {
  reserve: (name: string) => string;
  define: (name: string, body: string) => void;
}

/** How a set of characters is written: choices of GBNF symbols. */
export type WriteSet = (set: CharSet) => string[];

/** The rule of the first state. `end` is what follows a text, if anything. */
export function addAutomaton(
  rules: Rules,
  name: string,
  first: State,
  writeSet: WriteSet,
  end = "",
): string {
  const arrivals = countArrivals(first);
  const names = new Map<State, string>();
  const open: State[] = [];
  const nameOf = (state: State): string => {
    let known = names.get(state);
    if (known === undefined) {
      names.set(state, (known = rules.reserve(name)));
      open.push(state);
    }
    return known;
  };
  /** Over `set` to `target`, and on as long as there is one way only: such states have no rule. */
  const along = (set: CharSet, target: State): string => {
    const parts: string[] = [];
    let text = "";
    const endText = (): void => {
      if (text !== "") parts.push(literal(text));
      text = "";
    };
    let step: readonly [via: CharSet, state: State] = [set, target];
    for (;;) {
      const [via, state] = step;
      const char = onlyChar(via);
      const choices = writeSet(via);
      if (char !== undefined && choices[0] === literal(char)) text += char;
      else {
        endText();
        parts.push(oneOf(choices));
      }
      const next = onlyStep(state);
      if (next === undefined || arrivals.get(state) !== 1) {
        endText();
        parts.push(state.next.size === 0 ? end : nameOf(state));
        return parts.filter((part) => part !== "").join(" ");
      }
      step = next;
    }
  };
  const root = nameOf(first);
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const ways = [...state.next].map(([target, set]) => along(set, target));
    if (state.isEnd) ways.push(end === "" ? '""' : end);
    rules.define(nameOf(state), ways.join(" | "));
  }
  return root;
}

/** Where a state leads, if nothing else is possible there. */
function onlyStep({ next, isEnd }: State): [CharSet, State] | undefined {
  const [only, ...others] = next;
  if (only === undefined || others.length > 0 || isEnd) return undefined;
  return [only[1], only[0]];
}

/** How many transitions lead to each state; one more to the first. */
function countArrivals(first: State): Map<State, number> {
  const arrivals = new Map<State, number>([[first, 1]]);
  const open = [first];
  for (let state = open.pop(); state !== undefined; state = open.pop())
    for (const target of state.next.keys()) {
      const known = arrivals.get(target);
      arrivals.set(target, (known ?? 0) + 1);
      if (known === undefined) open.push(target);
    }
  return arrivals;
}

function onlyChar(set: CharSet): string | undefined {
  const [range, ...others] = set;
  return range !== undefined && others.length === 0 && range[0] === range[1]
    ? String.fromCodePoint(range[0])
    : undefined;
}
