/**
 * Where a text is in a grammar. Its places are stacks of what is still to come, as in llama.cpp; equal ones are the same number, and sets of
 * them are states, whose ways on are remembered. So what was computed once for a state costs nothing again, and work is counted where it is
 * done: a grammar that would take too much of it ends its session instead of keeping the others of its engine waiting.
 */
import { ShoalError } from "../../lib/index.ts";
import { CharacterClasses } from "./character-set.ts";
import { type Gbnf, NodeKind } from "./gbnf-tables.ts";

export const MATCHER_LIMITS = Object.freeze({
  /** Ways that a text can be read at once. JSON schemas have some dozens; what doubles with each character is noticed here. */
  maxStacks: 2048,
  /** Looks at a place of the grammar for one token: a tenth of a second. */
  maxWork: 400_000,
  /** So much of it may be saved up, and so much comes with each token: a few milliseconds. */
  maxSavedWork: 4_000_000,
  workPerToken: 50_000,
  /** Beyond these, what is remembered is forgotten: some MiB. */
  maxStates: 8192,
  maxKnownStacks: 1 << 17,
});

/** Nothing more to come. */
const DONE = 0;
/** A state from which there is no way on. */
export const DEAD = -1;
const UNKNOWN = -2;
/** Classes of characters that a state has an array for; further ones are in a map. */
const ARRAY_CLASSES = 256;

interface State {
  stacks: readonly number[];
  /** By class of characters. */
  ways: Int32Array;
  others: Map<number, number>;
  /** By which of the stacks take it. */
  after: Map<string, number>;
}

export class Matcher {
  readonly #grammar: Gbnf;
  readonly #classes: CharacterClasses;
  #nodes: number[] = [];
  #parents: number[] = [];
  #stackIds = new Map<number, number>();
  #states: State[] = [];
  #stateIds = new Map<string, number>();
  /** Left for the token that is looked at, and for all. */
  #work = 0;
  #savedWork: number = MATCHER_LIMITS.maxSavedWork;

  constructor(grammar: Gbnf) {
    this.#grammar = grammar;
    this.#classes = new CharacterClasses(grammar.sets);
    this.#forget();
  }

  /** At the beginning. */
  begin(): number {
    const { rules, root } = this.#grammar;
    this.beginToken();
    return this.#state((into) => {
      for (const start of rules[root] ?? []) this.#enter(start, DONE, into);
    });
  }

  /** The work for the next token is counted anew. */
  beginToken(): void {
    this.#work = Math.min(MATCHER_LIMITS.maxWork, this.#savedWork);
  }

  /** A token was written. */
  earn(): void {
    const { maxSavedWork, workPerToken } = MATCHER_LIMITS;
    this.#savedWork = Math.min(maxSavedWork, this.#savedWork + workPerToken);
  }

  /** The same place, when it is time to forget what is not needed any more. */
  keep(state: number): number {
    if (
      state === DEAD ||
      (this.#states.length <= MATCHER_LIMITS.maxStates &&
        this.#nodes.length <= MATCHER_LIMITS.maxKnownStacks)
    )
      return state;
    const [nodes, parents] = [this.#nodes, this.#parents];
    const stacks = this.#states[state]?.stacks ?? [];
    this.#forget();
    const again = (stack: number): number => {
      const places: number[] = [];
      for (let at = stack; at !== DONE; at = parents[at] ?? DONE)
        places.push(nodes[at] ?? 0);
      return places.reduceRight((parent, node) => this.#stack(node, parent), 0);
    };
    return this.#state((into) => {
      for (const stack of stacks) into.add(again(stack));
    });
  }

  /** The text may end here. */
  isComplete(state: number): boolean {
    return this.#states[state]?.stacks[0] === DONE;
  }

  /** After one more character. */
  next(state: number, code: number): number {
    const from = this.#states[state];
    if (from === undefined) return DEAD;
    const way = this.#classes.of(code);
    const known =
      way < ARRAY_CLASSES
        ? (from.ways[way] ?? UNKNOWN)
        : (from.others.get(way) ?? UNKNOWN);
    if (known !== UNKNOWN) return known;
    const { kinds, values, sets } = this.#grammar;
    const takes = from.stacks.filter((stack) => {
      const node = this.#nodes[stack] ?? 0;
      return (
        stack !== DONE &&
        kinds[node] === NodeKind.Character &&
        sets[values[node] ?? 0]?.has(code) === true
      );
    });
    this.#spend(1 + (from.stacks.length >> 3));
    const next = this.#after(from, takes);
    if (way < ARRAY_CLASSES) from.ways[way] = next;
    else from.others.set(way, next);
    return next;
  }

  /** After a token as a whole, where the grammar names it. */
  nextToken(state: number, token: number): number {
    const from = this.#states[state];
    if (from === undefined) return DEAD;
    const { kinds, values } = this.#grammar;
    const takes = from.stacks.filter((stack) => {
      const node = this.#nodes[stack] ?? 0;
      if (stack === DONE) return false;
      if (kinds[node] === NodeKind.Token) return values[node] === token;
      return kinds[node] === NodeKind.OtherToken && values[node] !== token;
    });
    return this.#after(from, takes);
  }

  /** Tokens that may come as a whole: `named` ones, and if `butFor` is there, all others than that one; -1: all. */
  wholeTokens(state: number): { named: Set<number>; butFor?: number } {
    const { kinds, values } = this.#grammar;
    const [named, others] = [new Set<number>(), new Set<number>()];
    for (const stack of this.#states[state]?.stacks ?? []) {
      const node = this.#nodes[stack] ?? 0;
      if (stack === DONE) continue;
      if (kinds[node] === NodeKind.Token) named.add(values[node] ?? 0);
      if (kinds[node] === NodeKind.OtherToken) others.add(values[node] ?? 0);
    }
    const [other = -1] = others;
    if (others.size === 0) return { named };
    return { named, butFor: others.size === 1 ? other : -1 };
  }

  /** Both of two places. */
  union(a: number, b: number): number {
    if (a === DEAD || a === b) return b;
    if (b === DEAD) return a;
    return this.#state((into) => {
      for (const state of [a, b])
        for (const stack of this.#states[state]?.stacks ?? []) into.add(stack);
    });
  }

  /** Whether one of the characters `first…last` may come next. */
  meets(state: number, first: number, last: number): boolean {
    const { kinds, values, sets } = this.#grammar;
    return (this.#states[state]?.stacks ?? []).some((stack) => {
      const node = this.#nodes[stack] ?? 0;
      return (
        stack !== DONE &&
        kinds[node] === NodeKind.Character &&
        sets[values[node] ?? 0]?.meets(first, last) === true
      );
    });
  }

  #after(from: State, takes: readonly number[]): number {
    if (takes.length === 0) return DEAD;
    const key = takes.join();
    let next = from.after.get(key);
    if (next === undefined) {
      next = this.#state((into) => {
        for (const stack of takes)
          this.#enter(
            (this.#nodes[stack] ?? 0) + 1,
            this.#parents[stack] ?? DONE,
            into,
          );
      });
      from.after.set(key, next);
    }
    return next;
  }

  /** Follows rules and ends from a place to those where something is written. */
  #enter(start: number, below: number, into: Set<number>): void {
    const { kinds, values, rules } = this.#grammar;
    const todo: number[] = [start, below];
    const seen = new Set<number>();
    while (todo.length > 0) {
      let parent = todo.pop() ?? DONE;
      let node = todo.pop() ?? 0;
      while (kinds[node] === NodeKind.End && parent !== DONE) {
        node = this.#nodes[parent] ?? 0;
        parent = this.#parents[parent] ?? DONE;
      }
      this.#spend(1);
      if (kinds[node] === NodeKind.End) {
        into.add(DONE);
        continue;
      }
      const stack = this.#stack(node, parent);
      if (kinds[node] !== NodeKind.Rule) {
        into.add(stack);
        if (into.size > MATCHER_LIMITS.maxStacks)
          throw tooAmbiguous(
            `more than ${MATCHER_LIMITS.maxStacks} ways to read the text`,
          );
        continue;
      }
      if (seen.has(stack)) continue;
      seen.add(stack);
      const after =
        kinds[node + 1] === NodeKind.End
          ? parent
          : this.#stack(node + 1, parent);
      for (const alternative of rules[values[node] ?? 0] ?? [])
        todo.push(alternative, after);
    }
  }

  #state(fill: (into: Set<number>) => void): number {
    const into = new Set<number>();
    fill(into);
    if (into.size === 0) return DEAD;
    const stacks = [...into].sort((a, b) => a - b);
    const key = stacks.join();
    let id = this.#stateIds.get(key);
    if (id === undefined) {
      const length = Math.min(ARRAY_CLASSES, this.#classes.count);
      const ways = new Int32Array(length).fill(UNKNOWN);
      const [others, after] = [new Map(), new Map()];
      id = this.#states.push({ stacks, ways, others, after }) - 1;
      this.#stateIds.set(key, id);
      this.#spend(stacks.length);
    }
    return id;
  }

  #stack(node: number, parent: number): number {
    const key = parent * (this.#grammar.kinds.length + 1) + node;
    let id = this.#stackIds.get(key);
    if (id === undefined) {
      this.#spend(2);
      id = this.#nodes.push(node) - 1;
      this.#parents.push(parent);
      this.#stackIds.set(key, id);
    }
    return id;
  }

  #spend(work: number): void {
    this.#work -= work;
    this.#savedWork -= work;
    if (this.#work < 0)
      throw tooAmbiguous("one token takes too many looks at the grammar");
  }

  #forget(): void {
    // Number 0 is the empty stack.
    [this.#nodes, this.#parents] = [[0], [DONE]];
    this.#stackIds = new Map();
    this.#states = [];
    this.#stateIds = new Map();
  }
}

function tooAmbiguous(what: string): ShoalError {
  return new ShoalError(
    "GRAMMAR_INVALID",
    `the grammar is too ambiguous: ${what}`,
  );
}
