/** The smallest automaton that reads an expression's texts. */
import { TooLarge, type Algebra, type Expression } from "./algebra.ts";
import { charsOf, includes, type CharSet } from "./char-set.ts";
import type { CharRange } from "../gbnf.ts";

export interface State {
  isEnd: boolean;
  /** The characters that lead to each next state. */
  next: ReadonlyMap<State, CharSet>;
}

/** A state is a rule of the grammar, and a counted repetition has one for each count. */
const MAX_STATES = 3000;
/** Of merging equal states. Each looks at every state, and only long counted repetitions need more, which have nothing to merge. */
const MAX_ROUNDS = 48;

/** The first state; undefined if there is no text of `alphabet` in the language. Throws TooLarge. */
export function automaton(
  algebra: Algebra,
  expression: Expression,
  alphabet: CharSet,
): State | undefined {
  const table = explore(algebra, expression, alphabet);
  const alive = withAnEnd(table);
  if (!alive.has(expression)) return undefined;
  return merge(table, alive, expression);
}

type Table = Map<Expression, Map<Expression, CharRange[]>>;

function explore(algebra: Algebra, from: Expression, alphabet: CharSet): Table {
  const table: Table = new Map();
  const open = [from];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    if (table.has(state)) continue;
    if (table.size >= MAX_STATES) throw new TooLarge();
    const next = new Map<Expression, CharRange[]>();
    table.set(state, next);
    for (const range of pieces(alphabet, algebra.edges(state))) {
      const target = algebra.derivative(state, range[0]);
      if (target === algebra.none) continue;
      const ranges = next.get(target);
      if (ranges === undefined) {
        next.set(target, [range]);
        open.push(target);
      } else ranges.push(range);
    }
  }
  return table;
}

/** The alphabet, cut at the edges. */
function pieces(alphabet: CharSet, edges: ReadonlySet<number>): CharRange[] {
  const cuts = [...edges].toSorted((a, b) => a - b);
  return alphabet.flatMap(([first, last]) => {
    const inside = cuts.filter((cut) => first < cut && cut <= last);
    return [first, ...inside].map((start, index): CharRange => [
      start,
      (inside[index] ?? last + 1) - 1,
    ]);
  });
}

/** The states from which a text can end. */
function withAnEnd(table: Table): Set<Expression> {
  const before = new Map<Expression, Expression[]>();
  for (const [state, next] of table)
    for (const target of next.keys()) {
      const sources = before.get(target);
      if (sources === undefined) before.set(target, [state]);
      else sources.push(state);
    }
  const alive = new Set<Expression>();
  const open = [...table.keys()].filter((state) => state.isNullable);
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    if (alive.has(state)) continue;
    alive.add(state);
    open.push(...(before.get(state) ?? []));
  }
  return alive;
}

/** States that read the same texts become one (Moore's partition refinement). */
function merge(
  table: Table,
  alive: ReadonlySet<Expression>,
  first: Expression,
): State | undefined {
  let blocks = new Map([...alive].map((s) => [s, s.isNullable ? 1 : 0]));
  let count = 0;
  for (let round = 0; ; round++) {
    if (round === MAX_ROUNDS) {
      blocks = new Map([...alive].map((state, index) => [state, index]));
      break;
    }
    const keys = new Map<string, number>();
    const refined = new Map<Expression, number>();
    for (const state of alive) {
      const key = `${blocks.get(state)}|${moves(table, blocks, state)
        .map(([block, ranges]) => `${block}:${ranges.join(";")}`)
        .join("|")}`;
      const block = keys.get(key) ?? keys.size;
      keys.set(key, block);
      refined.set(state, block);
    }
    blocks = refined;
    if (keys.size === count) break;
    count = keys.size;
  }
  const states = new Map<
    number,
    { isEnd: boolean; next: Map<State, CharSet> }
  >();
  for (const [state, block] of blocks)
    if (!states.has(block))
      states.set(block, { isEnd: state.isNullable, next: new Map() });
  const done = new Set<number>();
  for (const [state, block] of blocks) {
    if (done.has(block)) continue;
    done.add(block);
    for (const [to, ranges] of moves(table, blocks, state)) {
      const target = states.get(to);
      if (target !== undefined) states.get(block)?.next.set(target, ranges);
    }
  }
  return states.get(blocks.get(first) ?? -1);
}

/** The characters that lead to each block, in order; neighbouring ranges are one. */
function moves(
  table: Table,
  blocks: ReadonlyMap<Expression, number>,
  state: Expression,
): [block: number, ranges: CharRange[]][] {
  const found = new Map<number, CharRange[]>();
  for (const [target, ranges] of table.get(state) ?? []) {
    const block = blocks.get(target);
    if (block === undefined) continue;
    const known = found.get(block);
    if (known === undefined) found.set(block, [...ranges]);
    else known.push(...ranges);
  }
  return [...found]
    .map(([block, ranges]): [number, CharRange[]] => [block, join(ranges)])
    .toSorted(([a], [b]) => a - b);
}

function join(ranges: readonly CharRange[]): CharRange[] {
  const joined: [number, number][] = [];
  for (const [first, last] of ranges.toSorted(([a], [b]) => a - b)) {
    const previous = joined.at(-1);
    if (previous !== undefined && first === previous[1] + 1) previous[1] = last;
    else joined.push([first, last]);
  }
  return joined;
}

interface Node {
  isEnd: boolean;
  next: Map<State, CharSet>;
  children: Map<string, Node>;
}

function newNode(): Node {
  return { isEnd: false, next: new Map(), children: new Map() };
}

/** The automaton of a list of texts: a tree. */
export function automatonOf(texts: readonly string[]): State {
  const root = newNode();
  for (const text of texts) {
    let at = root;
    for (const char of text) {
      let child = at.children.get(char);
      if (child === undefined) {
        child = newNode();
        at.children.set(char, child);
        at.next.set(child, charsOf(char));
      }
      at = child;
    }
    at.isEnd = true;
  }
  return root;
}

/** How short and how long the texts are, in characters. */
export function lengths(first: State): [shortest: number, longest: number] {
  const longest = new Map<State, number | undefined>();
  const walk = (state: State): number => {
    if (longest.has(state)) return longest.get(state) ?? Infinity;
    longest.set(state, undefined);
    const rest = [...state.next.keys()].map((next) => walk(next) + 1);
    const length = Math.max(0, ...rest);
    longest.set(state, length);
    return length;
  };
  let shortest = 0;
  let reached = new Set([first]);
  for (; ![...reached].some(({ isEnd }) => isEnd); shortest++)
    reached = new Set(
      [...reached].flatMap(({ next }) => Array.from(next.keys())),
    );
  return [shortest, walk(first)];
}

/** Whether the automaton reads `text` to an end. */
export function reads(first: State, text: string): boolean {
  let state: State | undefined = first;
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    state = [...state.next].find(([, set]) => includes(set, code))?.[0];
    if (state === undefined) return false;
  }
  return state.isEnd;
}
