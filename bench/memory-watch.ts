/**
 * Peak memory of processes and of all that they start, from /proc (Linux). A sample counts every page that is in memory, anonymous or of a
 * file, the program and its libraries included, but not those mapped from `weights`: the kernel drops these when it needs room.
 * VmHWM, the kernel's own peak, is exact but counts the weights too, so it stands only where a process maps none.
 */
import { readdir, readFile } from "node:fs/promises";
import { basename } from "node:path";

export interface Peak {
  /** Bytes in memory without the weights' pages: the largest sample. */
  beyondBytes: number;
  /** Of these, without a file behind them. */
  anonymousBytes: number;
  /** What was going on at that sample. */
  during: string;
  /** Largest sample of the weights' pages. */
  weightBytes: number;
  /** The kernel's own peak. */
  highWaterBytes: number;
  samples: number;
}

export class MemoryWatch {
  /** What is going on now. */
  phase = "start";
  /** Each process that was seen. */
  readonly peaks = new Map<string, Peak>();
  /** Bytes in memory at the last sample, the weights' pages included. */
  readonly latest = new Map<string, number>();
  readonly #weights: RegExp;
  readonly #names = new Map<number, string>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  /** `weights` matches the paths of weights' files. */
  constructor(weights: RegExp) {
    this.#weights = weights;
  }

  add(name: string, pid: number): void {
    this.#names.set(pid, name);
  }

  start(everyMs: number): void {
    this.#running = this.#run(everyMs);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(everyMs: number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const startMs = performance.now();
      const pids = await this.#family();
      await Promise.all([...pids].map(([pid, name]) => this.#see(pid, name)));
      const restMs = Math.max(1, everyMs - (performance.now() - startMs));
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  }

  /** The processes, and what they started, which is named after them. */
  async #family(): Promise<Map<number, string>> {
    const all = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const parents = new Map<number, number>();
    await Promise.all(
      all.map(async (pid) => {
        const text = await read(pid, "stat");
        // The name, in brackets, may hold anything.
        const rest = text.slice(text.lastIndexOf(")"));
        const parent = /^\) \S (\d+)/.exec(rest)?.[1];
        if (parent !== undefined) parents.set(Number(pid), Number(parent));
      }),
    );
    const family = new Map(this.#names);
    for (const pid of [...parents.keys()].sort((a, b) => a - b)) {
      const of = family.get(parents.get(pid) ?? 0);
      if (of === undefined || family.has(pid)) continue;
      const [, script = "?"] = (await read(pid, "cmdline"))
        .split("\0")
        .filter((arg) => !arg.startsWith("-"));
      family.set(pid, `${of}: ${basename(script)}`);
    }
    return family;
  }

  async #see(pid: number, name: string): Promise<void> {
    const [maps, status] = await Promise.all([
      read(pid, "smaps"),
      read(pid, "status"),
    ]);
    const highWaterKib = /^VmHWM:\s+(\d+)/m.exec(status)?.[1];
    if (maps === "" || highWaterKib === undefined) return; // it ended
    const now = this.#count(maps);
    this.latest.set(name, now.beyondBytes + now.weightBytes);
    const before = this.peaks.get(name);
    const isPeak = now.beyondBytes > (before?.beyondBytes ?? 0);
    this.peaks.set(name, {
      ...(isPeak || before === undefined
        ? { ...now, during: this.phase }
        : before),
      weightBytes: Math.max(now.weightBytes, before?.weightBytes ?? 0),
      highWaterBytes: Math.max(
        Number(highWaterKib) * 1024,
        before?.highWaterBytes ?? 0,
      ),
      samples: (before?.samples ?? 0) + 1,
    });
  }

  #count(
    maps: string,
  ): Pick<Peak, "beyondBytes" | "anonymousBytes" | "weightBytes"> {
    const sum = { beyondBytes: 0, anonymousBytes: 0, weightBytes: 0 };
    let isWeights = false;
    for (const line of maps.split("\n")) {
      const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$/.exec(line);
      if (mapping !== null) isWeights = this.#weights.test(mapping[1] ?? "");
      const [, what, kib] = /^(Rss|Anonymous):\s+(\d+) kB/.exec(line) ?? [];
      const bytes = Number(kib ?? 0) * 1024;
      if (what === "Anonymous") {
        sum.anonymousBytes += bytes;
        // A page of a private mapping that was written to is memory of the process.
        if (isWeights) {
          sum.beyondBytes += bytes;
          sum.weightBytes -= bytes;
        }
      }
      if (what === "Rss")
        sum[isWeights ? "weightBytes" : "beyondBytes"] += bytes;
    }
    return sum;
  }
}

/** Empty if the process has ended. */
async function read(pid: number | string, file: string): Promise<string> {
  return await readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}
