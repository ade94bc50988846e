/** A shard that this node holds, on its way from a claim to its goodbye, and what the cluster and people are told of it. */
import type { Announcement, OwnState } from "../cluster/index.ts";
import type { StageEngine } from "../engine/index.ts";
import type { StageService } from "../inference/index.ts";
import { type ComputeMode, VERSION } from "../lib/index.ts";
import type { LayerRange } from "../model/index.ts";
import type { NodeState, OwnShardStatus } from "../status/index.ts";
import { type Cut, toldCut } from "../placement/index.ts";
import type { LayersOnDisk, PlannedShard } from "../weights/index.ts";
import { engineOf, memoryOf } from "./engine-facts.ts";
import type { ShardRoom } from "./shard-room.ts";

/** How a shard is held. */
export interface ClaimHow {
  /** That it is a stage of; undefined where its operator named it: then no cut takes it away. */
  cut?: Cut;
  /** Because nobody else held it, or as a standby. */
  takenOver?: boolean;
  /** Where nobody named a context: no more than this. */
  mostContext?: number | undefined;
}

export interface Own extends ClaimHow {
  readonly planned: PlannedShard;
  readonly mode: ComputeMode;
  state: NodeState;
  /** The memory it was given. */
  room?: ShardRoom;
  progress?: { doneBytes: number; sizeBytes: number } | undefined;
  /** When the cluster last heard of the progress. */
  toldMs?: number;
  sizeBytes?: number;
  path?: string;
  engine?: StageEngine;
  /** Ends its fetching. */
  readonly given: AbortController;
}

type Stats = ReturnType<StageService["statsOf"]>;

/** Of the node, the same for all its shards. */
export interface NodeFacts {
  /** That is in force. */
  cut: Cut | undefined;
  move: Announcement["move"];
  standby: boolean;
  onDisk: LayersOnDisk;
}

export function announced(own: Own, stats: Stats, node: NodeFacts): OwnState {
  const { planned, mode, state, engine, progress, takenOver = false } = own;
  const { id, manifest, range, number } = planned;
  const cut = isStage(range, node.cut) ? node.cut : own.cut;
  return {
    ...range,
    ...stats,
    manifest: id,
    model: manifest.name,
    layerCount: manifest.layerCount,
    shard: number,
    state,
    ...mode,
    contextLength: engine?.info?.contextLength ?? 0,
    batchTokens: engine?.batchTokens ?? 0,
    memoryBytes: memoryOf(engine?.info),
    engine: engineOf(engine?.info),
    takenOver,
    cut: cut && toldCut(cut),
    move: node.move,
    standby: node.standby || undefined,
    onDisk: node.onDisk.length > 0 ? node.onDisk : undefined,
    progress,
    version: VERSION,
  };
}

/** Whether the layers are a stage of that cut. */
export function isStage(
  { layerStart, layerEnd }: LayerRange,
  cut: Cut | undefined,
): boolean {
  return (
    cut?.ranges.some(
      (range) => range.layerStart === layerStart && range.layerEnd === layerEnd,
    ) ?? false
  );
}

export function shown(own: Own, stats: Stats): OwnShardStatus {
  const { planned, state, engine, progress, sizeBytes } = own;
  return {
    ...planned.number,
    ...planned.range,
    manifest: planned.id,
    model: planned.manifest.name,
    state,
    sizeBytes: sizeBytes ?? null,
    memoryBytes: memoryOf(engine?.info) ?? null,
    engine: engineOf(engine?.info) ?? null,
    contextLength: engine?.info?.contextLength ?? null,
    progress: progress ?? null,
    sessions: stats.sessions,
    msPerToken: stats.msPerToken ?? null,
    takenOver: own.takenOver ?? false,
  };
}
