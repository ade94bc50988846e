/** What benches share: pairs, medians, and a line of JSON a result. */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1
    ? upper
    : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Of the sorted values the one that `part` (0 to 1) of them do not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
}

export function report(result: Record<string, unknown>): void {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    encoding: "utf8",
    cwd: import.meta.dirname,
  }).trim();
  const where = {
    date: new Date().toISOString().slice(0, 10),
    cpu: `${cpus().length} × ${cpus()[0]?.model ?? "?"}`,
    node: process.version,
    commit,
  };
  process.stdout.write(`${JSON.stringify({ ...result, ...where })}\n`);
}

export function round(value: number, digits = 3): number {
  return Number(value.toFixed(digits));
}
