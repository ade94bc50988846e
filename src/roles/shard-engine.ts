/** The engine of a shard: with the room it was given, started, and its progress told. */
import {
  ENGINE_DEFAULTS,
  type EngineHost,
  StageEngine,
  type StageEngineOptions,
} from "../engine/index.ts";
import {
  type ComputeMode,
  type EventSink,
  formatBytes,
  formatMs,
} from "../lib/index.ts";
import type { ShardSource } from "../weights/index.ts";
import { engineOf, memoryOf } from "./engine-facts.ts";
import type { ShardRoom } from "./shard-room.ts";

export interface ShardEngineOptions {
  sessions: number;
  threads: number;
  /** Where engines keep what they measure at load. */
  tablesPath: string;
  /** Where they keep what they computed for sessions that ended, and how much of it. */
  kept: { folder: string; bytes: number };
  computesOn: Pick<StageEngineOptions, "backend" | "device" | "gpuLayers">;
  events: EventSink;
}

/** How often its progress is told. */
const PROGRESS_MS = 500;

export function engineFor(
  host: EngineHost,
  { mode, room }: { mode: ComputeMode; room?: ShardRoom },
  { shard, manifest }: ShardSource,
  options: ShardEngineOptions,
): StageEngine {
  const { sessions, threads, tablesPath, kept, computesOn, events } = options;
  let shownMs = 0;
  return new StageEngine({
    host,
    path: shard.path,
    tablesPath,
    kept,
    contextLength: room?.contextLength ?? manifest.contextLength,
    sessions: room?.sequences ?? sessions,
    ...mode,
    batchTokens: ENGINE_DEFAULTS.batchTokens,
    threads,
    ...computesOn,
    events,
    onProgress: (fraction) => {
      if (fraction < 1 && performance.now() - shownMs < PROGRESS_MS) return;
      shownMs = performance.now();
      const percent = `${Math.round(fraction * 100)} %`;
      events.info("TENSOR_LOAD", percent, { file: shard.path });
    },
  });
}

export async function startEngine(
  engine: StageEngine,
  { shard, manifest }: ShardSource,
  { events, threads }: ShardEngineOptions,
): Promise<void> {
  const { layerStart, layerEnd, sizeBytes, path } = shard;
  events.info("TENSOR_LOAD", "loading the shard", {
    file: path,
    size: formatBytes(sizeBytes),
    architecture: manifest.architecture,
  });
  const info = await engine.start();
  events.info("SHARD", "loaded: validated, mapped, dry run done", {
    layers: `${layerStart}-${layerEnd - 1}`,
    model: manifest.name,
    file: path,
    size: formatBytes(sizeBytes),
    loaded: formatMs(info.loadMs),
    dryRun: formatMs(info.dryRunMs),
    memory: formatBytes(memoryOf(info) ?? 0),
    context: info.contextLength,
    threads,
    engine: engineOf(info),
  });
}
