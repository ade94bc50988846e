/**
 * Measures a stage at its load, on its own weights and with its own library: what prompts' chunks and shared decodes take, and which numbers of
 * tokens in one decode give the bits of each token alone.
 *
 * Session 0 gets a prompt of 576 tokens, session 1 one of 64, the others none. A number of tokens is compared at four places: with session 0 as
 * deep as it is, and then taken back to 511, 300 and 100 cells. So llama.cpp's attention sees 768 cells, 512 full and partly used ones, and
 * 256. At each place sessions 0 and 1 have other tokens than before, and the others exchange theirs, so that each stands elsewhere in the
 * decode. One row that differs by a bit at one place is enough: then the number does not count as the same.
 */
import type { Stage } from "./stage.ts";
import type { StageTables } from "./tables.ts";

export const MEASURING = Object.freeze({
  /** Tokens in one decode. */
  rows: [1, 2, 4, 8, 16, 32],
  /**
   * By session, the lengths that prompts are cut into, and one below. The first prompt is longer than 512 cells, where another kernel begins; the
   * second lies beside it with another length.
   */
  chunks: [[64, 128, 192, 192], [64]],
  /** Cells of session 0 where shared decodes are compared again: 512 with their own, some of 512, some of 256. */
  depths: [511, 300, 100],
  /** Decodes of each number of tokens, at whatever place; the least time counts, since other programs only add. */
  repeats: 3,
  /** Chunks, and then shared decodes, have so long each: no decode begins that would end later, as far as those before it tell. */
  budgetMs: 4_000,
});

export interface Measured {
  tables: StageTables;
  /** False: the time was used up, so another try may tell more. */
  isComplete: boolean;
}

/** Measures a stage that has no sessions yet; leaves its sequences free. */
export function measureStage(
  stage: Stage,
  threads: number,
  nowMs: () => number = () => performance.now(),
): Measured {
  return new Measurement(stage, threads, nowMs).run();
}

type Shared = StageTables["shared"][number];

/** An entry of the table while it is measured, and from how many decodes. */
type Entry = Shared & { decodes: number };

/** A token of a shared decode. */
interface Row {
  sequence: number;
  position: number;
  /** Whose result alone it has to get: an index of `#alone`. */
  like: number;
  token: number;
  activations: Float32Array | undefined;
}

/** Sessions with a prompt. */
const PROMPTED = MEASURING.chunks.length;
/** Places but the first. */
const ELSEWHERE = MEASURING.depths.length;

class Measurement {
  readonly #stage: Stage;
  readonly #threads: number;
  readonly #nowMs: () => number;
  /** Of the prompted sessions. */
  readonly #cells = MEASURING.chunks.map(() => 0);
  /** What a token gives alone: of the prompted sessions at this place, then those that the others exchange. */
  readonly #alone: Float32Array[] = [];
  /** 0, then one more for each of the depths. */
  #place = 0;
  #untilMs = 0;
  /** For comparing, at the other places, what is in the table already: it has to fit too. */
  #reservedMs = 0;
  #isComplete = true;

  constructor(stage: Stage, threads: number, nowMs: () => number) {
    this.#stage = stage;
    this.#threads = threads;
    this.#nowMs = nowMs;
  }

  run(): Measured {
    const stage = this.#stage;
    try {
      const chunks = this.#chunks();
      const cells = this.#cellsOf(0);
      const entries = this.#shared();
      const threads = this.#otherThreads();
      this.#compareElsewhere(entries);
      this.#repeat(entries);
      const shared = entries.map(({ rows, sameBits, ms }) => ({
        rows,
        sameBits,
        ms: round(ms),
      }));
      const tables = { cells, shared, chunks, threads };
      return { tables, isComplete: this.#isComplete };
    } finally {
      for (let i = 0; i < stage.sessions; i++) stage.releasePages(i);
    }
  }

  #begin(): void {
    this.#untilMs = this.#nowMs() + MEASURING.budgetMs;
  }

  /** Whether decodes of about so long still fit. */
  #fits(expectedMs: number): boolean {
    const endMs = this.#nowMs() + expectedMs + this.#reservedMs;
    if (endMs <= this.#untilMs) return true;
    this.#isComplete = false;
    return false;
  }

  /** Fills the prompted sessions, chunk by chunk. */
  #chunks(): StageTables["chunks"] {
    const stage = this.#stage;
    const least = new Map<number, number>();
    let msPerRow = 0;
    this.#begin();
    for (const [sequence, lengths] of MEASURING.chunks.entries())
      for (const tokens of lengths) {
        const from = this.#cellsOf(sequence);
        const isPossible =
          sequence < stage.sessions &&
          tokens <= stage.batchTokens &&
          from + tokens + 1 < stage.contextLength;
        if (!isPossible) continue;
        if (!this.#fits(msPerRow * tokens)) break;
        const tookMs = this.#fill(sequence, from, tokens);
        msPerRow = tookMs / tokens;
        least.set(tokens, Math.min(tookMs, least.get(tokens) ?? Infinity));
        this.#cells[sequence] = from + tokens;
      }
    return [...least].map(([tokens, took]) => ({ tokens, ms: round(took) }));
  }

  #fill(sequence: number, position: number, count: number): number {
    const stage = this.#stage;
    const tokens = Int32Array.from({ length: count }, (_, i) =>
      tokenAt(stage, sequence, position + i),
    );
    const activations = this.#activations(sequence, count);
    const startedMs = this.#nowMs();
    stage.decode(sequence, position, tokens, activations);
    return this.#nowMs() - startedMs;
  }

  /** The first place, where session 0 is deepest. */
  #shared(): Entry[] {
    const stage = this.#stage;
    const table: Entry[] = [];
    this.#begin();
    for (const rows of MEASURING.rows) {
      const single = table[0]?.ms ?? 0;
      const before = table.at(-1)?.ms ?? 0;
      const aloneMs = (rows - this.#alone.length) * single;
      if (rows > stage.sessions || !this.#fits(aloneMs + 2 * before)) break;
      for (let i = this.#alone.length; i < rows; i++) {
        this.#alone.push(this.#tokenAlone(i));
        // States can not be taken back: with them a shared decode has nothing to be compared with.
        if (!stage.rewind(i, this.#cellsOf(i))) {
          this.#alone.length = 0;
          return table;
        }
      }
      const entry = { rows, sameBits: true, ms: Infinity, decodes: 0 };
      table.push(entry);
      this.#decode(entry, true);
      if (rows > 1) this.#reserve(entry, single);
    }
    return table;
  }

  /** Keeps time for the other places; where there is none the number does not count as the same. */
  #reserve(entry: Entry, single: number): void {
    if (!entry.sameBits) return;
    const aloneMs = this.#reservedMs === 0 ? PROMPTED * single : 0;
    const neededMs = ELSEWHERE * (aloneMs + entry.ms);
    entry.sameBits = this.#fits(neededMs);
    if (entry.sameBits) this.#reservedMs += neededMs;
  }

  #compareElsewhere(table: readonly Entry[]): void {
    const stage = this.#stage;
    const cells = this.#cellsOf(0);
    const same = table.filter(({ rows, sameBits }) => rows > 1 && sameBits);
    this.#reservedMs = 0;
    if (same.length === 0) return;
    for (const depth of MEASURING.depths) {
      if (depth >= cells) continue; // a short context
      if (!this.#fits(PROMPTED * (table[0]?.ms ?? 0))) {
        for (const entry of same) entry.sameBits = false;
        return;
      }
      this.#place++;
      this.#cells[0] = depth;
      stage.rewind(0, depth);
      for (let i = 0; i < PROMPTED; i++) {
        this.#alone[i] = this.#tokenAlone(i);
        stage.rewind(i, this.#cellsOf(i));
      }
      for (const entry of same) {
        if (!entry.sameBits) continue;
        if (this.#fits(entry.ms)) this.#decode(entry, true);
        else entry.sameBits = false;
      }
    }
  }

  /** Decodes once more what was decoded less often than the others. */
  #repeat(table: readonly Entry[]): void {
    for (const entry of table)
      while (entry.decodes < MEASURING.repeats && this.#fits(entry.ms))
        this.#decode(entry, false);
  }

  /** A token of each of the first sessions. */
  #decode(entry: Entry, compares: boolean): void {
    const stage = this.#stage;
    const rows = Array.from({ length: entry.rows }, (_, sequence) =>
      this.#rowOf(sequence, entry.rows),
    );
    const [lone, second] = rows;
    const startedMs = this.#nowMs();
    const out =
      lone !== undefined && second === undefined
        ? this.#decodeAlone(lone)
        : stage.decodeShared(rows);
    entry.ms = Math.min(entry.ms, this.#nowMs() - startedMs);
    entry.decodes++;
    if (compares) entry.sameBits &&= this.#areAlone(rows, out);
    for (const { sequence, position } of rows) stage.rewind(sequence, position);
  }

  #areAlone(rows: readonly Row[], out: Float32Array | undefined): boolean {
    const stage = this.#stage;
    const width = stage.activationLength;
    return rows.every(({ like }, row) =>
      sameBits(
        out?.subarray(row * width, (row + 1) * width) ??
          stage.logits(rows.length === 1 ? -1 : row),
        this.#alone[like],
      ),
    );
  }

  #otherThreads(): StageTables["threads"] {
    const stage = this.#stage;
    const [expected] = this.#alone;
    if (expected === undefined) return [];
    const own = this.#threads;
    const table = [{ threads: own, sameBits: true }];
    for (const threads of [1, 2]) {
      if (threads === own) continue;
      stage.setThreads(threads);
      const same = sameBits(this.#tokenAlone(0), expected);
      table.push({ threads, sameBits: same });
      stage.setThreads(own);
      stage.rewind(0, this.#cellsOf(0));
    }
    return table;
  }

  #tokenAlone(sequence: number): Float32Array {
    const out = this.#decodeAlone(this.#rowOf(sequence, sequence + 1));
    return out?.slice() ?? this.#stage.logits();
  }

  #decodeAlone({
    sequence,
    position,
    token,
    activations,
  }: Row): Float32Array | undefined {
    const tokens = Int32Array.of(token);
    return this.#stage.decode(sequence, position, tokens, activations);
  }

  /** What a session's token is in a decode of so many at this place. */
  #rowOf(sequence: number, rows: number): Row {
    const position = this.#cellsOf(sequence);
    const isPrompted = sequence < PROMPTED;
    const others = Math.max(1, rows - PROMPTED);
    const like = isPrompted
      ? sequence
      : PROMPTED + ((sequence - PROMPTED + this.#place) % others);
    const content = isPrompted ? 64 * this.#place + like : like;
    return {
      sequence,
      position,
      like,
      token: tokenAt(this.#stage, content, position),
      activations: this.#activations(content, 1),
    };
  }

  #cellsOf(sequence: number): number {
    return this.#cells[sequence] ?? 0;
  }

  /** As large as activations are, the same in each measurement, different for each content. */
  #activations(content: number, count: number): Float32Array | undefined {
    const stage = this.#stage;
    if (stage.isFirst) return undefined;
    const length = count * stage.activationLength;
    return Float32Array.from({ length }, (_, i) =>
      Math.sin(0.37 * i * (content + 1) + content),
    );
  }
}

function tokenAt(stage: Stage, content: number, position: number): number {
  return (position * 7919 + content * 104_729 + 13) % Math.max(1, stage.tokens);
}

function sameBits(a: Float32Array, b: Float32Array | undefined): boolean {
  return (
    b !== undefined &&
    a.length === b.length &&
    Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
      Buffer.from(b.buffer, b.byteOffset, b.byteLength),
    )
  );
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
