/** Runs the real program. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { assertBuilt, ENTRY } from "./swarm.ts";
import { until } from "./until.ts";

/** For `shoal up`: nothing else on this machine is in its way, nor it in anybody's. */
export const ANY_PORTS = ["api", "diagnostics", "rendezvous"].flatMap(
  (name) => [`--${name}-port`, "0"],
);

export interface Run {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  /** Its standard input; without, an empty one. */
  input?: string;
  /** SIGKILL after so long: the test then fails on the status. */
  timeoutMs?: number;
  /** Called with the process and what it has written to stderr and stdout so far, each time something comes. */
  onOutput?: (child: ChildProcess, output: string) => void;
}

export function shoal(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Run> {
  assertBuilt();
  const { env = {}, input = "", timeoutMs = 120_000, onOutput } = options;
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !key.startsWith("SHOAL_")),
  );
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [ENTRY, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...inherited, ...env },
    });
    child.stdin.on("error", () => {}).end(input); // not all read it
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      onOutput?.(child, stderr + stdout);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      onOutput?.(child, stderr + stdout);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** In a terminal of its own: what the program writes there, on both streams. `onOutput` is called with all so far. */
export async function inTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onOutput: (output: string) => void = () => {},
): Promise<string> {
  assertBuilt();
  const command = [process.execPath, ENTRY, ...args].join(" ");
  const child = spawn("script", ["-qec", command, "/dev/null"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH, TERM: "xterm", ...env },
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    onOutput(output);
  });
  await once(child, "close");
  return output;
}

/** Why no test has a terminal here: pass it on as the test's option. */
export const terminalMissing: string | false =
  spawnSync("script", ["--version"]).status === 0
    ? false
    : "script (util-linux) is not installed";

/** A program in a terminal of its own, and somebody who types. `using` ends it. */
export class Terminal implements Disposable {
  /** All that it showed, but for sequences that command the terminal. */
  output = "";
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #seen = 0;

  constructor(args: readonly string[], folder: string) {
    assertBuilt();
    // In the shell's place: it would end by Ctrl-C, too.
    const command = ["exec", process.execPath, ENTRY, ...args].join(" ");
    this.#child = spawn("script", ["-qec", command, "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, TERM: "xterm" },
    });
    this.ended = once(this.#child, "close").then(
      ([code]) => code as number | null,
    );
    let raw = "";
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      raw += text;
      this.output = stripVTControlCharacters(raw).replaceAll("\r", "");
    });
  }

  type(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** Waits for `text` in what came since the last that was waited for; returns what came before it. */
  async sees(text: string): Promise<string> {
    const from = this.#seen;
    let at = -1;
    await until(
      `${JSON.stringify(text)} after ${JSON.stringify(this.output.slice(from))}`,
      () => (at = this.output.indexOf(text, from)) >= 0,
    );
    this.#seen = at + text.length;
    return this.output.slice(from, at);
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** Ids of live processes whose command line or environment mentions `text`. */
export function processesOf(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/stat`, "utf8");
        if (/\) [ZX] /.test(status)) return false;
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        const env = readFileSync(`/proc/${pid}/environ`, "utf8");
        return command.includes(text) || env.includes(text);
      } catch {
        return false; // gone meanwhile
      }
    });
}

/** The engines that this process itself has started. */
export function ownEngines(): number[] {
  return processesOf("child.ts").filter((pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [, , parent] = stat.slice(stat.lastIndexOf(")")).split(" ");
    return Number(parent) === process.pid;
  });
}
