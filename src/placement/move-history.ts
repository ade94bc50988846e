/**
 * When a better cut is worth a change: it must be much better, surely, all the time in which the cluster worked, and in a cluster that stays as
 * it is. Pure; the times come from a history that each node keeps.
 */
import type { Holder } from "./coverage.ts";
import type { CutPlan } from "./plan-cut.ts";

export const MOVE = Object.freeze({
  /** Of the expected time of a token. Machines alike differ by some percent; loading layers anew takes memory and disk on several of them. */
  gain: 0.15,
  /** Of work. Longer than a busy minute of another program. */
  afterMs: 180_000,
  /** Sessions at once are an average over about this part of that time. */
  loadPart: 1 / 3,
  /** Between two looks, each with a sample of every holder's time. */
  lookMs: 5_000,
  /** Samples that are kept, evenly over that time. */
  samples: 36,
  /** Where a node computes, a new time is announced every 20 s. An older one may be of a busy moment long ago. */
  freshMs: 30_000,
  /** After a change the next one is further away by so many times that time, and by twice as many after each further one. */
  restTimes: 10,
  mostDoublings: 4,
});

interface Times {
  /** As announced last. */
  ms: number;
  /** When it became so; undefined where nobody saw that. */
  changedMs: number | undefined;
  takenMs: number;
  /** Of the last MOVE.afterMs of work, in order of their coming. */
  samples: readonly number[];
}

export interface MoveHistory {
  /** What the cluster looked like. */
  key: string;
  version: number;
  /** The time for which the better cut has been worth it; undefined where it is not. */
  worthMs: number | undefined;
  restsUntilMs: number;
  /** Of the moments when there were any. */
  sessions: number;
  seenMs: number | undefined;
  /** Since the look before. */
  passedMs: number;
  /** By holder. */
  times: ReadonlyMap<string, Times>;
}

export const NO_MOVES: MoveHistory = Object.freeze({
  key: "",
  version: 0,
  worthMs: undefined,
  restsUntilMs: -Infinity,
  sessions: 0,
  seenMs: undefined,
  passedMs: 0,
  times: new Map(),
});

export interface MoveSight {
  nowMs: number;
  /** Who holds what: another one begins anew. */
  key: string;
  /** Of the cut in force. */
  version: number;
  /** At this moment. */
  sessions: number;
  /** A better cut must last for so long. */
  afterMs: number;
  holders: readonly Timed[];
}

type Timed = Pick<Holder, "peer" | "layerStart" | "layerEnd" | "msPerToken">;

/** The history with this moment, before anything is reckoned with it. */
export function seeNow(history: MoveHistory, sight: MoveSight): MoveHistory {
  const { nowMs, key, version, afterMs } = sight;
  const doublings = Math.min(version - 1, MOVE.mostDoublings);
  const restMs = version === 0 ? 0 : afterMs * MOVE.restTimes * 2 ** doublings;
  return {
    key,
    version,
    worthMs: key === history.key ? history.worthMs : undefined,
    restsUntilMs:
      version === history.version ? history.restsUntilMs : nowMs + restMs,
    sessions: seeSessions(history, sight),
    seenMs: nowMs,
    passedMs: Math.min(nowMs - (history.seenMs ?? nowMs), MOVE.freshMs),
    times: seeTimes(history.times, sight),
  };
}

/** The quiet hours say nothing of those in which somebody waits. */
function seeSessions(
  { sessions: before, seenMs }: MoveHistory,
  { nowMs, sessions, afterMs }: MoveSight,
): number {
  if (sessions === 0) return before;
  if (before === 0) return sessions;
  const passedMs = nowMs - (seenMs ?? nowMs);
  const weight = 1 - Math.exp(-passedMs / (afterMs * MOVE.loadPart));
  return before + (sessions - before) * weight;
}

function seeTimes(
  before: MoveHistory["times"],
  { holders, nowMs, afterMs }: MoveSight,
): MoveHistory["times"] {
  const times = new Map<string, Times>();
  const everyMs = Math.max(MOVE.lookMs, afterMs / MOVE.samples);
  const most = Math.ceil(afterMs / everyMs);
  for (const holder of holders) {
    const { msPerToken: ms } = holder;
    if (ms === undefined) continue;
    const key = keyOf(holder);
    const last = before.get(key);
    const changedMs = ms === last?.ms ? last.changedMs : last && nowMs;
    const { takenMs = -Infinity, samples = [] } = last ?? {};
    const isTaken = isFreshAt(changedMs, nowMs) && nowMs - takenMs >= everyMs;
    times.set(key, {
      ms,
      changedMs,
      takenMs: isTaken ? nowMs : takenMs,
      samples: isTaken ? [...samples, ms].slice(-most) : samples,
    });
  }
  return times;
}

function isFreshAt(changedMs: number | undefined, nowMs: number): boolean {
  return changedMs !== undefined && nowMs - changedMs < MOVE.freshMs;
}

/** The holder as it has been, and not at a moment when something else computed there: the median of its times, and the middle half of them. */
export function steady<H extends Timed>(
  holder: H,
  history: MoveHistory,
): H & { middleMs?: readonly [number, number] } {
  const { samples = [] } = history.times.get(keyOf(holder)) ?? {};
  const times = samples.toSorted((a, b) => a - b);
  const at = (part: number): number =>
    times[Math.floor(part * (times.length - 1))] ?? 0;
  if (times.length === 0) return holder;
  return { ...holder, msPerToken: at(0.5), middleMs: [at(0.25), at(0.75)] };
}

function keyOf({ peer, layerStart, layerEnd }: Timed): string {
  return `${peer} ${layerStart}-${layerEnd}`;
}

/** The history after the better cut was found; undefined where nothing is known. */
export function seeGain(
  history: MoveHistory,
  plan: CutPlan | undefined,
): MoveHistory {
  const { worthMs, passedMs } = history;
  if (plan === undefined || plan.gain < MOVE.gain || plan.sureGain <= 0)
    return { ...history, worthMs: undefined };
  if (worthMs === undefined) return { ...history, worthMs: 0 };
  return {
    ...history,
    worthMs: worthMs + (works(history, plan) ? passedMs : 0),
  };
}

/** Every stage was measured just now. */
function works(
  { times, seenMs = 0 }: MoveHistory,
  { members }: CutPlan,
): boolean {
  return members.every((those) =>
    those.some((a) => isFreshAt(times.get(keyOf(a))?.changedMs, seenMs)),
  );
}

export function isDue(
  { worthMs, restsUntilMs, seenMs = 0 }: MoveHistory,
  afterMs: number,
): boolean {
  return worthMs !== undefined && worthMs >= afterMs && seenMs >= restsUntilMs;
}
