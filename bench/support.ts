/** What benches share: pairs, medians, and a line of JSON a result. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import {
  type RandomModelOptions,
  writeRandomModel,
} from "../test/support/models.ts";

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

/** Writes a model of random weights whose prompts take a while to compute, and removes it afterwards. */
export async function withRandomModel(
  contextLength: number,
  work: (model: string) => Promise<void>,
  options: Pick<RandomModelOptions, "chatTemplate"> = {},
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
  try {
    const model = join(directory, "random.gguf");
    await writeRandomModel(model, {
      layers: 6,
      embeddingLength: 512,
      heads: 8,
      kvHeads: 4,
      feedForward: 2048,
      vocabSize: 4096,
      contextLength,
      type: "Q8_0",
      vocab: "bytes",
      ...options,
    });
    await work(model);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
