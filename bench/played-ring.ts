/**
 * Plays a ring of stages with measured times, to predict its tokens a second: the real order of turns (src/engine/turns.ts), and a clock that only
 * decodes move.
 */
import { policyOf, type StageTables } from "../src/engine/tables.ts";
import { type Turn, type TurnPolicy, Turns } from "../src/engine/turns.ts";
import type { BatchMode } from "../src/lib/index.ts";

/** Tokens of each session that are not counted, and that are. */
const WARM_TOKENS = 50;
const COUNTED_TOKENS = 150;

export interface PlayedRingOptions {
  /** Of each stage, in the order of the route. */
  tables: readonly StageTables[];
  batch: BatchMode;
  contextLength: number;
  sessions: number;
  /** So many stages compute at once. */
  cores: number;
  /** All sessions at once, or one more with each token. */
  start: "together" | "one by one";
}

class PlayedStage {
  readonly #turns: Turns<Turn>;
  readonly #policy: TurnPolicy;
  /** Since when it could have computed. */
  waitsSinceMs = 0;
  /** Of the decode that it is in. */
  untilMs = Infinity;
  #group: readonly Turn[] = [];

  constructor(policy: TurnPolicy, stages: number) {
    this.#policy = policy;
    this.#turns = new Turns(policy);
    this.#turns.stages = stages;
  }

  get isIdle(): boolean {
    return this.untilMs === Infinity;
  }

  get waits(): boolean {
    return this.isIdle && this.#turns.size > 0;
  }

  take(session: number, nowMs: number): void {
    if (!this.waits) this.waitsSinceMs = nowMs;
    this.#turns.add({ session, sequence: session, rows: 1 });
  }

  begin(nowMs: number): void {
    this.#group = [...this.#turns.next()];
    const { length } = this.#group;
    const tookMs = this.#policy.costMs(length);
    if (tookMs === undefined)
      throw new Error(`the tables do not tell what ${length} tokens take`);
    this.untilMs = nowMs + tookMs;
  }

  /** The sessions of the decode that ended. */
  end(): number[] {
    this.waitsSinceMs = this.untilMs;
    this.untilMs = Infinity;
    return this.#group.map(({ session }) => session);
  }
}

/** Tokens a second of all sessions together. */
export function playedRate(options: PlayedRingOptions): number {
  const { tables, batch, contextLength, sessions, cores, start } = options;
  const stages = tables.map(
    (table) =>
      new PlayedStage(policyOf(table, batch, contextLength), tables.length),
  );
  const [first] = stages;
  if (first === undefined) throw new Error("a ring has a stage");
  const warm = WARM_TOKENS * sessions;
  const all = warm + COUNTED_TOKENS * sessions;
  let joined = start === "together" ? sessions : 1;
  for (let i = 0; i < joined; i++) first.take(i, 0);
  let tokens = 0;
  let nowMs = 0;
  let warmMs = 0;
  while (tokens < all) {
    beginAll(stages, cores, nowMs);
    const done = stages.reduce((a, b) => (b.untilMs < a.untilMs ? b : a));
    nowMs = done.untilMs;
    const group = done.end();
    const next = stages[stages.indexOf(done) + 1];
    for (const session of group) (next ?? first).take(session, nowMs);
    if (next !== undefined) continue;
    tokens += group.length;
    if (tokens <= warm) warmMs = nowMs;
    if (joined < sessions) first.take(joined++, nowMs);
  }
  return ((tokens - warm) * 1000) / (nowMs - warmMs);
}

/** As many as there are cores for; the one that waits longest goes first. */
function beginAll(
  stages: readonly PlayedStage[],
  cores: number,
  nowMs: number,
): void {
  const free = cores - stages.filter(({ isIdle }) => !isIdle).length;
  const waiting = stages.filter(({ waits }) => waits);
  waiting.sort((a, b) => a.waitsSinceMs - b.waitsSinceMs);
  for (const stage of waiting.slice(0, Math.max(0, free))) stage.begin(nowMs);
}
