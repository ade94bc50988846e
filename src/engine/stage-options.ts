/** What an engine is told at its start, and its time-outs. */
import { availableParallelism } from "node:os";
import type { BatchMode, EventSink, KvType } from "../lib/index.ts";
import type { EngineHost } from "./engine-host.ts";
import type { RestartOptions } from "./restarts.ts";
import type { Backend } from "./libraries.ts";

export interface StageEngineOptions {
  /** The shard's (or a whole model's) GGUF. */
  path: string;
  /** Tokens of one session. */
  contextLength: number;
  sessions?: number;
  batchTokens?: number;
  threads?: number;
  /** What keys and values are kept as, and how sessions share a decode. Default: COMPUTE_MODE_DEFAULTS. */
  kv?: KvType;
  batch?: BatchMode;
  /** Where what was measured at load is kept. */
  tablesPath?: string;
  /** Where sessions that ended are kept, and how many bytes of them; default: in no file. */
  kept?: { folder: string; bytes: number } | undefined;
  /** What sessions send on is kept, for a stage that takes the next one's place. Default: true. */
  keepsSentRows?: boolean;
  /** What computes, as in StageOptions. */
  backend?: Backend;
  device?: string;
  gpuLayers?: number;
  /** The process that computes; default: one of its own. */
  host?: EngineHost;
  /** When it is started again after it died; a test is less patient. */
  restarts?: RestartOptions;
  events?: EventSink;
  onProgress?: (fraction: number) => void;
}

export const ENGINE_DEFAULTS = Object.freeze({
  /** Sessions at once, each with its own KV memory. */
  sessions: 4,
  /**
   * The most tokens of a prefill chunk: enough to use the matrix kernels, short enough that decodes of others pass between. No less than
   * EXACT_CHUNK_TOKENS (chunks.ts).
   */
  batchTokens: 192,
  /** Of files with what was computed for sessions that ended. */
  keptBytes: 2_000_000_000,
  /** A load without any progress for this long has failed. */
  loadTimeoutMs: 120_000,
  /** One decode of a chunk. A slow machine takes seconds, a stuck one never finishes. */
  decodeTimeoutMs: 60_000,
  /** An engine that does not compute and has not opened a sequence by then counts as silent. Below the gateway's wait (pipeline.ts), so that the error names the stage. */
  silentMs: 6_000,
  /** Opening and freeing sequences waits at most behind one decode. */
  controlTimeoutMs: 65_000,
  /** While it has sessions, the engine is asked this often whether it still does anything. */
  watchMs: 2_000,
});

/** Threads for one of `engines` engines on this machine: they share the cores, because spinning threads on busy cores stall each other. */
export function defaultThreads(engines = 1): number {
  return Math.max(
    1,
    Math.floor(availableParallelism() / (engines * (engines > 1 ? 1 : 2))),
  );
}
