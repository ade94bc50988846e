/**
 * The order in which an engine's sessions decode, and which of them share a decode.
 *
 * Sessions take turns. A session's own turns stay in order. A chunk of a prompt passes when every session that waited with a token has had
 * one since the last chunk: between two tokens of a session lies at most one chunk, and a chunk waits for at most one token of each session.
 * Tokens that wait may share a decode, as the policy says; nothing waits for more. But the sessions do not gather in one decode while the other
 * stages of their ring have nothing to do: of n stages, each takes one n-th of them at once.
 */

/** `exact`: where no bit changes. `fast`: where it saves time. `off`: never. */
export type BatchMode = "exact" | "fast" | "off";

export const BATCH_MODES: readonly BatchMode[] = ["exact", "fast", "off"];

export interface TurnPolicy {
  readonly batch: BatchMode;
  /** Whether tokens of so many sessions in one decode get the bits of each alone. */
  readonly sameBits: (rows: number) => boolean;
  /** A decode of tokens of so many sessions, in ms; undefined: not known, so none is made. */
  readonly costMs: (rows: number) => number | undefined;
}

export interface Turn {
  session: number;
  /** Of the session's keys and values: no other session's, and the same in all its turns. */
  sequence: number;
  /** 1 for a token, more for a chunk of a prompt. */
  rows: number;
}

/** A session with its turns, in one of the lists while it has any. */
interface Line<T> {
  sequence: number;
  turns: T[];
  /** Of the last decode with a token of it. */
  round: number;
  list: List<T> | undefined;
  before: Line<T> | undefined;
  after: Line<T> | undefined;
}

/** Doubly linked, so that a line leaves from the middle without a search and without garbage. */
interface List<T> {
  first: Line<T> | undefined;
  last: Line<T> | undefined;
}

export class Turns<T extends Turn> {
  #policy: TurnPolicy;
  #lines = new Map<number, Line<T>>();
  /** Tokens that go before the next chunk, tokens of sessions that had one in this round, chunks. */
  #tokens: List<T> = { first: undefined, last: undefined };
  #later: List<T> = { first: undefined, last: undefined };
  #chunks: List<T> = { first: undefined, last: undefined };
  /** By sequence: whose token may go now. */
  #ready: (Line<T> | undefined)[] = [];
  /** By the number of tokens that may share a decode: how many do. */
  #best: number[] = [0];
  #round = 1;
  #size = 0;
  #group: T[] = [];
  /** In the ring of its sessions. */
  stages = 1;

  constructor(policy: TurnPolicy) {
    this.#policy = policy;
  }

  /** Turns that wait. */
  get size(): number {
    return this.#size;
  }

  /** The next turn is a token's. */
  get hasToken(): boolean {
    const line = this.#tokens.first;
    return line !== undefined && !isChunk(line);
  }

  add(turn: T): void {
    const { session, sequence } = turn;
    let line = this.#lines.get(session);
    if (line === undefined) {
      line = {
        sequence,
        turns: [],
        round: 0,
        list: undefined,
        before: undefined,
        after: undefined,
      };
      this.#lines.set(session, line);
    }
    line.turns.push(turn);
    this.#size++;
    if (line.turns.length === 1) this.#enqueue(line);
  }

  /** Forgets a session and what it has waiting: for each session, when it ends. */
  drop(session: number): void {
    const line = this.#lines.get(session);
    if (line === undefined) return;
    this.#lines.delete(session);
    this.#size -= line.turns.length;
    this.#dequeue(line);
  }

  /** The turns to decode now, by sequence: one, or tokens that share a decode. Empty if none waits. The next call overwrites the array. */
  next(): readonly T[] {
    this.#group.length = 0;
    if (this.#tokens.first === undefined) this.#newRound();
    const line = this.#tokens.first;
    if (line === undefined) return this.#group;
    if (isChunk(line)) this.#take(line);
    else this.#takeGroup(line.sequence);
    return this.#group;
  }

  /** The oldest chunk goes first, then the tokens that wait. */
  #newRound(): void {
    this.#round++;
    const chunk = this.#chunks.first;
    const empty = this.#tokens;
    this.#tokens = this.#later;
    this.#later = empty;
    for (let line = this.#tokens.first; line !== undefined; line = line.after)
      this.#ready[line.sequence] = line;
    if (chunk === undefined) return;
    this.#dequeue(chunk);
    prepend(this.#tokens, chunk);
  }

  /** Tokens of neighbouring sequences, one of them `sequence`: llama.cpp computes others one after the other. */
  #takeGroup(sequence: number): void {
    let from = sequence;
    let end = sequence + 1;
    if (this.#policy.batch !== "off") {
      while (from > 0 && this.#ready[from - 1] !== undefined) from--;
      while (this.#ready[end] !== undefined) end++;
    }
    const most = Math.ceil(this.#lines.size / this.stages);
    const count = this.#bestOf(Math.min(end - from, most));
    from = Math.max(from, sequence + 1 - count);
    for (let i = from; i < from + count; i++) this.#take(this.#ready[i]);
  }

  /** The number of tokens, of at most `waiting`, with the least ms a token. */
  #bestOf(waiting: number): number {
    const policy = this.#policy;
    for (let rows = this.#best.length; rows <= waiting; rows++) {
      const before = this.#best[rows - 1] ?? 1;
      const isAllowed = policy.batch === "fast" || policy.sameBits(rows);
      const cost = isAllowed ? policy.costMs(rows) : undefined;
      const isLess =
        cost !== undefined &&
        cost / rows < (policy.costMs(before) ?? 0) / before;
      this.#best.push(rows === 1 || isLess ? rows : before);
    }
    return this.#best[waiting] ?? 1;
  }

  #take(line: Line<T> | undefined): void {
    const turn = line?.turns.shift();
    if (line === undefined || turn === undefined) return;
    this.#dequeue(line);
    this.#size--;
    this.#group.push(turn);
    if (turn.rows === 1) line.round = this.#round;
    if (line.turns.length > 0) this.#enqueue(line);
  }

  #enqueue(line: Line<T>): void {
    const hasChunks = this.#chunks.first !== undefined;
    if (isChunk(line)) {
      if (!hasChunks) this.#round++; // it waits for one token of each session, from now on
      append(this.#chunks, line);
    } else if (hasChunks && line.round === this.#round)
      append(this.#later, line);
    else {
      append(this.#tokens, line);
      this.#ready[line.sequence] = line;
    }
  }

  #dequeue(line: Line<T>): void {
    if (this.#ready[line.sequence] === line)
      this.#ready[line.sequence] = undefined;
    remove(line);
  }
}

function isChunk({ turns }: Line<Turn>): boolean {
  return turns[0] !== undefined && turns[0].rows > 1;
}

function append<T>(list: List<T>, line: Line<T>): void {
  line.list = list;
  line.before = list.last;
  if (list.last === undefined) list.first = line;
  else list.last.after = line;
  list.last = line;
}

function prepend<T>(list: List<T>, line: Line<T>): void {
  line.list = list;
  line.after = list.first;
  if (list.first === undefined) list.last = line;
  else list.first.before = line;
  list.first = line;
}

function remove<T>(line: Line<T>): void {
  const { list, before, after } = line;
  if (list === undefined) return;
  if (before === undefined) list.first = after;
  else before.after = after;
  if (after === undefined) list.last = before;
  else after.before = before;
  line.list = undefined;
  line.before = undefined;
  line.after = undefined;
}
