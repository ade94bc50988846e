/**
 * When a better cut is worth a change: it must be much better, all the time, in a cluster that stays as it is. Pure; the times come from a history
 * that each node keeps.
 */
import type { Holder } from "./coverage.ts";

export const MOVE = Object.freeze({
  /** Of the expected time of a token. Measured times vary by some percent; loading layers anew takes memory and disk on several machines. */
  gain: 0.15,
  /** Longer than a busy minute of another program. */
  afterMs: 180_000,
  /** Sessions at once are an average over about this part of that time. */
  loadPart: 1 / 3,
  /** Times of a node in that time of which the median counts: announcements are renewed every 20 s, or when a time has changed. */
  samples: 36,
});

/** Of one holder, as it announced it. */
interface Sample {
  nowMs: number;
  ms: number;
}

export interface MoveHistory {
  /** Since when the better cut has been worth it. */
  sinceMs: number | undefined;
  /** What the cluster looked like. */
  key: string;
  sessions: number;
  seenMs: number | undefined;
  /** By holder: its milliseconds a token, while a better cut must last. */
  times: ReadonlyMap<string, readonly Sample[]>;
}

export const NO_MOVES: MoveHistory = Object.freeze({
  sinceMs: undefined,
  key: "",
  sessions: 0,
  seenMs: undefined,
  times: new Map(),
});

export interface MoveSight {
  nowMs: number;
  /** Who holds what: another one begins anew. */
  key: string;
  /** At this moment. */
  sessions: number;
  /** A better cut must last for so long. */
  afterMs: number;
  holders: readonly Timed[];
}

type Timed = Pick<Holder, "peer" | "layerStart" | "layerEnd" | "msPerToken">;

/** The history with this moment, before anything is reckoned with it. */
export function seeNow(
  history: MoveHistory,
  { nowMs, key, sessions, afterMs, holders }: MoveSight,
): MoveHistory {
  const passedMs = nowMs - (history.seenMs ?? -Infinity);
  const weight = 1 - Math.exp(-passedMs / (afterMs * MOVE.loadPart));
  return {
    sinceMs: key === history.key ? history.sinceMs : undefined,
    key,
    sessions: history.sessions + (sessions - history.sessions) * weight,
    seenMs: nowMs,
    times: seeTimes(history.times, holders, nowMs, afterMs),
  };
}

function seeTimes(
  before: MoveHistory["times"],
  holders: readonly Timed[],
  nowMs: number,
  afterMs: number,
): MoveHistory["times"] {
  const times = new Map<string, readonly Sample[]>();
  for (const holder of holders) {
    const { msPerToken: ms } = holder;
    if (ms === undefined) continue;
    const key = keyOf(holder);
    const kept = (before.get(key) ?? []).filter(
      (sample) => nowMs - sample.nowMs < afterMs,
    );
    const last = kept.at(-1);
    const isDueAgain =
      last === undefined || nowMs - last.nowMs >= afterMs / MOVE.samples;
    times.set(key, isDueAgain ? [...kept, { nowMs, ms }] : kept);
  }
  return times;
}

/** The holder as it has been, and not at a moment when something else computed there: the median of its times. */
export function steady<H extends Timed>(holder: H, history: MoveHistory): H {
  const times = (history.times.get(keyOf(holder)) ?? [])
    .map(({ ms }) => ms)
    .toSorted((a, b) => a - b);
  const msPerToken = times[times.length >> 1];
  return msPerToken === undefined ? holder : { ...holder, msPerToken };
}

function keyOf({ peer, layerStart, layerEnd }: Timed): string {
  return `${peer} ${layerStart}-${layerEnd}`;
}

/** The history after the better cut was found; `gain` is the part of a token's time that it saves, undefined where nothing is known. */
export function seeGain(
  history: MoveHistory,
  gain: number | undefined,
  nowMs: number,
): MoveHistory {
  const isWorth = gain !== undefined && gain >= MOVE.gain;
  return {
    ...history,
    sinceMs: isWorth ? (history.sinceMs ?? nowMs) : undefined,
  };
}

export function isDue(
  { sinceMs }: MoveHistory,
  nowMs: number,
  afterMs: number,
): boolean {
  return sinceMs !== undefined && nowMs - sinceMs >= afterMs;
}
