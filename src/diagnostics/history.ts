/** The last hour in samples of 5 s, in columns for the charts. Null where nothing was known. */
import type { NodeStatus } from "../status/index.ts";
import { DIAGNOSTICS_DEFAULTS } from "./defaults.ts";

export interface HistoryColumns {
  v: 1;
  stepMs: number;
  /** Milliseconds since the epoch, ascending. */
  timeMs: number[];
  tokensPerSecond: (number | null)[];
  uploadBytesPerSecond: (number | null)[];
  downloadBytesPerSecond: (number | null)[];
  connections: (number | null)[];
  memoryBytes: (number | null)[];
  sessions: (number | null)[];
}

type Sample = {
  [K in keyof Omit<HistoryColumns, "v" | "stepMs">]: number | null;
};

/** The data of a sample: far less than a status, which would cost an idle process more than everything else it does. */
export interface Vitals {
  /** Since the epoch. */
  nowMs: number;
  /** Totals, whose growth the charts show. */
  tokens: number | null;
  uploadedBytes: number | null;
  downloadedBytes: number | null;
  connections: number;
  memoryBytes: number;
  sessions: number | null;
}

export function vitalsOf(status: NodeStatus): Vitals {
  const { nowMs, sessions, torrents, connections, process } = status;
  return {
    nowMs,
    tokens: sessions?.tokens ?? null,
    uploadedBytes: torrents?.uploadedBytes ?? null,
    downloadedBytes: torrents?.downloadedBytes ?? null,
    connections: connections.length,
    memoryBytes: process.memoryBytes,
    sessions: sessions?.active ?? null,
  };
}

export class History {
  #samples: Sample[] = [];
  #last: Vitals | undefined;
  #size: number;
  #stepMs: number;

  constructor(
    size: number = DIAGNOSTICS_DEFAULTS.historySamples,
    stepMs: number = DIAGNOSTICS_DEFAULTS.historyStepMs,
  ) {
    this.#size = size;
    this.#stepMs = stepMs;
  }

  add(now: Vitals): void {
    const last = this.#last;
    this.#last = now;
    this.#samples.push({
      timeMs: now.nowMs,
      tokensPerSecond: perSecond(last, now, "tokens"),
      uploadBytesPerSecond: perSecond(last, now, "uploadedBytes"),
      downloadBytesPerSecond: perSecond(last, now, "downloadedBytes"),
      connections: now.connections,
      memoryBytes: now.memoryBytes,
      sessions: now.sessions,
    });
    if (this.#samples.length > this.#size) this.#samples.shift();
  }

  /** The samples after a time. */
  columns(afterMs = -Infinity): HistoryColumns {
    const samples = this.#samples.filter(
      ({ timeMs }) => (timeMs ?? 0) > afterMs,
    );
    const column = <K extends keyof Sample>(key: K): Sample[K][] =>
      samples.map((sample) => sample[key]);
    return {
      v: 1,
      stepMs: this.#stepMs,
      timeMs: column("timeMs").map((timeMs) => timeMs ?? 0),
      tokensPerSecond: column("tokensPerSecond"),
      uploadBytesPerSecond: column("uploadBytesPerSecond"),
      downloadBytesPerSecond: column("downloadBytesPerSecond"),
      connections: column("connections"),
      memoryBytes: column("memoryBytes"),
      sessions: column("sessions"),
    };
  }
}

/** Null in the first sample, if the clock went back, and if a total fell (its counter restarted). */
function perSecond(
  last: Vitals | undefined,
  now: Vitals,
  of: "tokens" | "uploadedBytes" | "downloadedBytes",
): number | null {
  const [before, after] = [last?.[of], now[of]];
  if (last === undefined || before == null || after === null) return null;
  const seconds = (now.nowMs - last.nowMs) / 1000;
  if (seconds <= 0 || after < before) return null;
  return Number(((after - before) / seconds).toFixed(3));
}
