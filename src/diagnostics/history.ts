/** The last hour in samples of 5 s, for the charts: columns, as a chart wants them. Null where nothing was known. */
import type { NodeStatus } from "../cluster/index.ts";
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

/** Totals of which a sample shows the growth. */
interface Totals {
  timeMs: number;
  tokens: number | null;
  uploaded: number | null;
  downloaded: number | null;
}

export class History {
  #samples: Sample[] = [];
  #last: Totals | undefined;
  #size: number;
  #stepMs: number;

  constructor(
    size: number = DIAGNOSTICS_DEFAULTS.historySamples,
    stepMs: number = DIAGNOSTICS_DEFAULTS.historyStepMs,
  ) {
    this.#size = size;
    this.#stepMs = stepMs;
  }

  add(status: NodeStatus): void {
    const { nowMs, sessions, torrents, connections, process } = status;
    const totals: Totals = {
      timeMs: nowMs,
      tokens: sessions?.tokens ?? null,
      uploaded: torrents?.uploadedBytes ?? null,
      downloaded: torrents?.downloadedBytes ?? null,
    };
    const last = this.#last;
    this.#last = totals;
    const rate = (of: "tokens" | "uploaded" | "downloaded"): number | null =>
      perSecond(last, totals, of);
    this.#samples.push({
      timeMs: nowMs,
      tokensPerSecond: rate("tokens"),
      uploadBytesPerSecond: rate("uploaded"),
      downloadBytesPerSecond: rate("downloaded"),
      connections: connections.length,
      memoryBytes: process.memoryBytes,
      sessions: sessions?.active ?? null,
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

/** Null in the first sample, where the clock went back, and where a total fell (whoever counts it began anew). */
function perSecond(
  last: Totals | undefined,
  now: Totals,
  of: "tokens" | "uploaded" | "downloaded",
): number | null {
  const [before, after] = [last?.[of], now[of]];
  if (last === undefined || before == null || after === null) return null;
  const seconds = (now.timeMs - last.timeMs) / 1000;
  if (seconds <= 0 || after < before) return null;
  return Number(((after - before) / seconds).toFixed(3));
}
