/** A gateway's running and recent requests: who computed what and how fast, never the text. Bounded; medians are over the last tokens. */
import { type SessionStatus, STATUS_LIMITS } from "../status/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { OnWaiting } from "./backend.ts";
import type { PredictedStage, RoutePrediction } from "../routing/index.ts";
import type { RouteStage } from "./route.ts";
import type { StageTimes } from "../ring/index.ts";

/** One request, reported by its runner. */
export interface SessionEntry {
  /** It waited for its turn and now has a route. */
  routed(route: readonly RouteStage[], prediction: RoutePrediction): void;
  stageTimes(stage: number, times: StageTimes): void;
  /** The stages of the route are ready; they have so many of the prompt's tokens from an earlier session. */
  resumed(cachedTokens: number): void;
  /** It goes on where its last bits may differ. */
  recomputed(): void;
  token(): void;
  /** There is no way for it now, until there is this: "shard 2 of 4 (layers 8-11)". */
  waiting(what: string): void;
  /** What waited goes on in another entry, which counts in its place. */
  handOver(): void;
  /** May be called twice; the first call counts. */
  end(error?: unknown): void;
  status(): SessionStatus;
}

export interface SessionTotals {
  active: number;
  total: number;
  failed: number;
  tokens: number;
}

/** Gaps between tokens that a session's median is made of. */
const GAPS_KEPT = 64;

interface Hop extends Partial<StageTimes> {
  stage: RouteStage;
  predicted: PredictedStage | undefined;
}

export interface SessionBegin {
  /** From when its time counts; default: now. */
  arrivedMs?: number | undefined;
  onWaiting?: OnWaiting | undefined;
}

class Entry implements SessionEntry {
  readonly id: string;
  readonly promptTokens: number | null;
  readonly startedMs: number;
  endedMs: number | null = null;
  error: string | null = null;
  state: SessionStatus["state"] = "queued";
  #waitingFor: string | undefined;
  #onWaiting: OnWaiting | undefined;
  tokens = 0;
  /** Of the prompt, when the first route was ready. */
  cachedTokens = 0;
  /** Routes after the first one. */
  recoveries = -1;
  isRecomputed = false;
  #hops: Hop[] = [];
  #predictedMs: number | undefined;
  #queuedMs: number | undefined;
  #firstTokenMs: number | undefined;
  #lastTokenMs: number | undefined;
  #gaps: number[] = [];
  #log: SessionLog;

  constructor(
    log: SessionLog,
    id: string,
    promptTokens: number | null,
    { arrivedMs = log.now(), onWaiting }: SessionBegin,
  ) {
    this.#log = log;
    this.id = id;
    this.promptTokens = promptTokens;
    this.startedMs = arrivedMs;
    this.#onWaiting = onWaiting;
  }

  routed(route: readonly RouteStage[], prediction: RoutePrediction): void {
    this.#hops = route.map((stage, i) => ({
      stage,
      predicted: prediction.stages[i],
    }));
    this.#predictedMs = prediction.msPerToken;
    this.#queuedMs ??= Math.max(0, this.#log.now() - this.startedMs);
    this.recoveries++;
    this.state = "prefill";
    this.#waitFor(undefined);
  }

  resumed(cachedTokens: number): void {
    if (this.tokens === 0) this.cachedTokens = cachedTokens;
  }

  recomputed(): void {
    this.isRecomputed = true;
  }

  waiting(what: string): void {
    this.state = "waiting";
    this.#waitFor(what);
  }

  handOver(): void {
    this.#waitFor(undefined);
    this.#log.forget(this);
  }

  #waitFor(what: string | undefined): void {
    if (what === this.#waitingFor) return;
    this.#waitingFor = what;
    this.#onWaiting?.(what);
  }

  stageTimes(stage: number, times: StageTimes): void {
    const hop = this.#hops[stage];
    if (hop !== undefined) Object.assign(hop, times);
  }

  token(): void {
    const now = this.#log.now();
    this.tokens++;
    this.#log.onToken();
    this.#firstTokenMs ??= now;
    if (this.#lastTokenMs !== undefined) {
      this.#gaps.push(now - this.#lastTokenMs);
      if (this.#gaps.length > GAPS_KEPT) this.#gaps.shift();
    }
    this.#lastTokenMs = now;
    this.state = "decode";
  }

  end(error?: unknown): void {
    if (this.endedMs !== null) return;
    this.#waitingFor = undefined;
    this.endedMs = this.#log.now();
    const { code, details } = ShoalError.from(error ?? null);
    if (error === undefined || details.isOver === true) this.state = "done";
    else {
      this.state = code === "ABORTED" ? "cancelled" : "failed";
      this.error = code;
    }
    this.#log.onEnd(this);
  }

  status(): SessionStatus {
    const gapMs = median(this.#gaps);
    const spentMs = this.#hops.reduce<number | null>(
      (sum, { computeMs, queueMs }) =>
        sum === null || computeMs === undefined
          ? null
          : sum + computeMs + (queueMs ?? 0),
      0,
    );
    return {
      id: this.id,
      startedMs: this.startedMs,
      endedMs: this.endedMs,
      state: this.state,
      waitingFor: this.#waitingFor ?? null,
      error: this.error,
      promptTokens: this.promptTokens,
      tokens: this.tokens,
      cachedTokens: this.cachedTokens,
      recoveries: Math.max(0, this.recoveries),
      recomputed: this.isRecomputed,
      tokensPerSecond: this.#tokensPerSecond(),
      queuedMs: this.#queuedMs ?? null,
      timeToFirstTokenMs:
        this.#firstTokenMs === undefined
          ? null
          : Math.max(0, this.#firstTokenMs - this.startedMs),
      msPerToken: gapMs === undefined ? null : round(gapMs),
      predictedMsPerToken:
        this.#predictedMs === undefined ? null : round(this.#predictedMs),
      // Medians of different things do not add up exactly, so the rest is at least 0.
      restMs:
        gapMs === undefined || spentMs === null
          ? null
          : round(Math.max(0, gapMs - spentMs)),
      route: this.#hops.map(({ stage, predicted, ...seen }) => ({
        peer: stage.peer,
        layerStart: stage.layerStart,
        layerEnd: stage.layerEnd,
        computeMs: seen.computeMs ?? null,
        queueMs: seen.queueMs ?? null,
        wireMs: seen.wireMs ?? null,
        direct: seen.direct ?? null,
        predicted:
          predicted === undefined
            ? null
            : {
                computeMs: round(predicted.computeMs),
                queueMs: round(predicted.queueMs),
                wireMs: round(predicted.wireMs),
              },
      })),
    };
  }

  /** From the first token to the last; the prompt's time is separate. */
  #tokensPerSecond(): number | null {
    const [first, last] = [this.#firstTokenMs, this.#lastTokenMs];
    if (first === undefined || last === undefined || last <= first) return null;
    return round(((this.tokens - 1) * 1000) / (last - first));
  }
}

export class SessionLog {
  #now: () => number;
  #onEnd: ((session: SessionStatus) => void) | undefined;
  #running = new Set<Entry>();
  #ended: Entry[] = [];
  #total = 0;
  #failed = 0;
  #tokens = 0;

  constructor(
    now: () => number = Date.now,
    onEnd?: (session: SessionStatus) => void,
  ) {
    this.#now = now;
    this.#onEnd = onEnd;
  }

  /** `promptTokens` is null while nobody can count them. */
  begin(
    id: string,
    promptTokens: number | null,
    how: SessionBegin = {},
  ): SessionEntry {
    const entry = new Entry(this, id.slice(0, 64), promptTokens, how);
    this.#running.add(entry);
    this.#total++;
    return entry;
  }

  /** Running ones first, then the last that ended, newest first. */
  recent(): SessionStatus[] {
    const newest = [...this.#running].reverse();
    return [...newest, ...[...this.#ended].reverse()]
      .slice(0, STATUS_LIMITS.sessions)
      .map((entry) => entry.status());
  }

  totals(): SessionTotals {
    return {
      active: this.#running.size,
      total: this.#total,
      failed: this.#failed,
      tokens: this.#tokens,
    };
  }

  now(): number {
    return this.#now();
  }

  forget(entry: Entry): void {
    if (this.#running.delete(entry)) this.#total--;
  }

  onToken(): void {
    this.#tokens++;
  }

  onEnd(entry: Entry): void {
    this.#running.delete(entry);
    if (entry.state === "failed") this.#failed++;
    this.#ended.push(entry);
    if (this.#ended.length > STATUS_LIMITS.sessions) this.#ended.shift();
    this.#onEnd?.(entry.status());
  }
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
