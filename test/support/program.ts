/** Runs a program in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";

export interface ProgramRun {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Long for a swarm's start on a busy machine; a hang ends so. */
const TIMEOUT_MS = 240_000;

export async function runProgram(
  path: string,
  args: readonly string[] = [],
  onOutput: (child: ChildProcess, stdout: string) => void = () => {},
): Promise<ProgramRun> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !key.startsWith("SHOAL_")),
  );
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    onOutput(child, stdout);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on("error", reject);
  child.on("close", resolve);
  const code = await promise;
  clearTimeout(timer);
  return { code, stdout, stderr };
}
