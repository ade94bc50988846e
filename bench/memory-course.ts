/** How much memory processes have over time: is it flat? Without what they map from files, which comes as it is touched and is not theirs. */
import { readFileSync } from "node:fs";
import { median, round } from "./support.ts";

const EVERY_MS = 5_000;

export interface Course {
  process: string;
  samples: number;
  /** Medians of the first and the last quarter of the time, resident and anonymous. */
  firstMib: number;
  lastMib: number;
  /** last / first */
  growth: number;
}

export class MemoryCourse {
  readonly #pids = new Map<string, number>();
  readonly #samples = new Map<string, number[]>();
  #timer: NodeJS.Timeout | undefined;

  add(name: string, pid: number): void {
    this.#pids.set(name, pid);
    this.#samples.set(name, []);
  }

  start(): void {
    this.#timer = setInterval(() => this.#sample(), EVERY_MS);
  }

  /** With a last sample. */
  stop(): void {
    this.end();
    this.#sample();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Fails if one of the processes has ended. */
  #sample(): void {
    for (const [name, pid] of this.#pids) {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const kib = Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]);
      this.#samples.get(name)?.push(kib / 1024);
    }
  }

  courses(): Course[] {
    return [...this.#samples].map(([process, mib]) => {
      const quarter = Math.max(1, mib.length >> 2);
      const first = median(mib.slice(0, quarter));
      const last = median(mib.slice(-quarter));
      return {
        process,
        samples: mib.length,
        firstMib: round(first, 1),
        lastMib: round(last, 1),
        growth: round(last / first),
      };
    });
  }
}
