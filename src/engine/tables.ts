/**
 * What was measured of a stage at its load (measure-stage.ts): which decodes give the same bits, and what they cost. It is kept in a file. How
 * sessions share a decode follows from these tables (turns.ts), and so does the size of a prompt's chunks.
 */
import { createHash } from "node:crypto";
import {
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { z } from "zod";
import type { BatchMode } from "../lib/index.ts";
import { measureStage } from "./measure-stage.ts";
import type { Stage, StageOptions } from "./stage.ts";
import type { TurnPolicy } from "./turns.ts";

const ms = z.number().min(0).max(3_600_000);

export const StageTables = z.object({
  /** The most cells of keys and values that a row of these decodes attended to, besides its own. */
  cells: z
    .number()
    .int()
    .min(0)
    .max(1 << 24),
  /**
   * One decode with a token each of `rows` sessions: whether each was seen to get the bits that it gets alone, wherever it was compared
   * (measure-stage.ts), and what the decode takes. As far as the time for measuring went, and as there are sessions.
   */
  shared: z
    .array(
      z.object({
        rows: z.number().int().min(1).max(64),
        sameBits: z.boolean(),
        ms,
      }),
    )
    .max(16),
  /** A prompt's chunks of so many tokens. */
  chunks: z
    .array(z.object({ tokens: z.number().int().min(1).max(65_536), ms }))
    .max(16),
  /** Whether a lone token gets the same bits with so many threads as with those that compute here. */
  threads: z
    .array(
      z.object({
        threads: z.number().int().min(1).max(1024),
        sameBits: z.boolean(),
      }),
    )
    .max(4),
});
export type StageTables = z.infer<typeof StageTables>;

type Shared = StageTables["shared"][number];

/** From so many cells on, a lone token's attention may be split over threads. */
const DEEP_CELLS = 512;

/** Tables in the file; the oldest give way. */
const KEPT_TABLES = 64;

/** Of a stage that was not measured. */
export const NO_TABLES: StageTables = Object.freeze({
  cells: 0,
  shared: [],
  chunks: [],
  threads: [],
});

/** What a stage's tables say about decodes that sessions share. */
export function policyOf(
  { cells, shared }: StageTables,
  batch: BatchMode,
  contextLength: number,
): TurnPolicy {
  // Where attention takes another kernel nothing was compared: then nothing is known to be the same.
  const isProof = cells >= DEEP_CELLS || contextLength <= DEEP_CELLS;
  const at = (rows: number): Shared | undefined =>
    shared.find((entry) => entry.rows === rows);
  return {
    batch,
    // Only measured numbers: repacked weights take rows by fours, and what is left over by another kernel.
    sameBits: (rows) => rows === 1 || (isProof && at(rows)?.sameBits === true),
    costMs: (rows) => {
      const above = shared.findIndex((entry) => entry.rows >= rows);
      const [to, from] = [shared[above], shared[Math.max(0, above - 1)]];
      if (to === undefined || from === undefined || to.rows === rows)
        return to?.ms;
      const part = (rows - from.rows) / (to.rows - from.rows);
      return from.ms + part * (to.ms - from.ms);
    },
  };
}

const Kept = z.array(z.tuple([z.string().max(64), StageTables])).max(1024);

/** Measured before for the same file, library, processor, threads and type of keys and values; else measured now, and kept in the file `path`. */
export function tablesOf(
  stage: Stage,
  options: StageOptions & { path: string; tablesPath?: string },
  version: string,
): StageTables {
  const { tablesPath, threads } = options;
  if (tablesPath === undefined) return measureStage(stage, threads).tables;
  const key = stageKey(options, version);
  const kept = readKept(tablesPath);
  const known = kept.find(([name]) => name === key)?.[1];
  if (known !== undefined) return known;
  const { tables, isComplete } = measureStage(stage, threads);
  if (!isComplete) return tables;
  const others = kept.filter(([name]) => name !== key);
  writeKept(
    tablesPath,
    [...others, [key, tables] as const].slice(-KEPT_TABLES),
  );
  return tables;
}

/** What the results of a stage's decodes depend on. */
export function stageKey(
  options: StageOptions & { path: string },
  version: string,
): string {
  const { size, mtimeMs } = statSync(options.path);
  const { path, threads, sessions, batchTokens, contextLength, kv } = options;
  const { backend, device, gpuLayers } = options;
  const what = [
    ["tables", 2, version, cpus()[0]?.model],
    [path, size, mtimeMs],
    [threads, sessions, batchTokens, contextLength, kv ?? "f16"],
    [backend, device, gpuLayers],
  ];
  return createHash("sha256").update(JSON.stringify(what)).digest("hex");
}

/** Whatever is wrong with the file, it is measured anew. */
function readKept(path: string): z.infer<typeof Kept> {
  try {
    return Kept.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return [];
  }
}

/** A table that can not be kept is measured again at the next start. */
function writeKept(
  path: string,
  kept: readonly (readonly [string, StageTables])[],
): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, JSON.stringify(kept));
    renameSync(temporary, path);
  } catch {
    // The disk is full, or the folder is not ours.
  }
}
