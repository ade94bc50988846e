/**
 * Where the time of an answer went: the header Server-Timing (https://www.w3.org/TR/server-timing/) and `usage.shoal`. A streamed answer's
 * header tells what is known when it goes out, which is the time to the first token; its last chunk tells the rest.
 */
import type { SessionStatus } from "../inference/index.ts";

/** Times are in milliseconds, a token's are medians; null is unknown. */
export interface Times {
  /** Until the request had its turn and a route. */
  queued_ms: number | null;
  first_token_ms: number | null;
  /** On average, from the first to the last. */
  tokens_per_second: number | null;
  token_ms: number | null;
  predicted_token_ms: number | null;
  /** Of a token, all stages together. */
  compute_ms: number | null;
  wire_ms: number | null;
  queue_ms: number | null;
  /** Routes after the first: a stage refused, or was lost and the reply went on. */
  recoveries: number;
  /** One of them led to another kind of engine, so that the text may differ from there on. */
  recomputed: boolean;
  stages: StageTime[];
}

interface StageTime {
  /** The machine's peer id. */
  peer: string;
  /** "0-3", both ends included. */
  layers: string;
  compute_ms: number | null;
  /** To the next stage, and from the last one to the first. */
  wire_ms: number | null;
  /** Behind other sessions. */
  queue_ms: number | null;
  /** Whether the engines exchange frames themselves. */
  direct: boolean | null;
}

export function timesOf(session: SessionStatus): Times {
  const { route } = session;
  return {
    queued_ms: session.queuedMs,
    first_token_ms: session.timeToFirstTokenMs,
    tokens_per_second: session.tokensPerSecond,
    token_ms: session.msPerToken,
    predicted_token_ms: session.predictedMsPerToken,
    compute_ms: total(route.map(({ computeMs }) => computeMs)),
    // One stage alone sends nothing.
    wire_ms: route.length === 1 ? 0 : total(route.map(({ wireMs }) => wireMs)),
    queue_ms: total(route.map(({ queueMs }) => queueMs)),
    recoveries: session.recoveries,
    recomputed: session.recomputed,
    stages: route.map((stage) => ({
      peer: stage.peer,
      layers: `${stage.layerStart}-${stage.layerEnd - 1}`,
      compute_ms: stage.computeMs,
      wire_ms: route.length === 1 ? 0 : stage.wireMs,
      queue_ms: stage.queueMs,
      direct: stage.direct,
    })),
  };
}

/** Clients bound the headers that they read (Node: 16 KiB); with more stages only the totals are in it. */
const MAX_STAGES = 32;

/** The header's value; undefined while nothing is known. */
export function serverTiming(times: Times): string | undefined {
  const entries: [name: string, ms: number | null, about: string][] = [
    ["queued", times.queued_ms, "until it had a route"],
    ["first", times.first_token_ms, "first token"],
    ["token", times.token_ms, "a token"],
    ["predicted", times.predicted_token_ms, "a token as predicted"],
    ["compute", times.compute_ms, "all stages"],
    ["wire", times.wire_ms, "all stages"],
    ["queue", times.queue_ms, "all stages"],
  ];
  if (times.stages.length <= MAX_STAGES)
    for (const [i, stage] of times.stages.entries()) {
      const about = `layers ${stage.layers}`;
      entries.push(
        [`stage${i}-compute`, stage.compute_ms, about],
        [`stage${i}-wire`, stage.wire_ms, about],
        [`stage${i}-queue`, stage.queue_ms, about],
      );
    }
  const known = entries.flatMap(([name, ms, about]) =>
    ms === null ? [] : [`${name};dur=${ms};desc="${about}"`],
  );
  return known.length === 0 ? undefined : known.join(", ");
}

function total(values: readonly (number | null)[]): number | null {
  if (values.length === 0) return null;
  let sum = 0;
  for (const value of values) {
    if (value === null) return null;
    sum += value;
  }
  return Number(sum.toFixed(3));
}
