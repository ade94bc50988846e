import type { SaidMode } from "../lib/index.ts";
import type { TransferFlags } from "../weights/index.ts";
import type { NamedShard } from "./local-shard.ts";
import type { DiagnosticsPlace } from "./own-status.ts";

/** `kv` and `batch`, where undefined, are the cluster's record's, or COMPUTE_MODE_DEFAULTS for a shard that lies on disk. */
export interface NodeOptions extends TransferFlags, SaidMode {
  bootstraps: readonly string[];
  cluster: string;
  /** Undefined: what the cluster needs most. */
  shard?: NamedShard | undefined;
  /** Folder with the shard or the model. Undefined: it is fetched. */
  modelDir?: string | undefined;
  listen: readonly string[];
  /** Relays for members that cannot reach each other, at most so many bytes per second; undefined: it does not. */
  relay?: { bytesPerSecond: number | undefined } | undefined;
  /** Port for the data connections of neighbours' engines, 0 any; undefined: none, and frames go through the nodes. */
  dataPort?: number | undefined;
  /** Tokens of one session; undefined: the model's own, up to CONTEXT_DEFAULTS.most, as far as memory allows. */
  contextLength?: number | undefined;
  sessions: number;
  threads: number;
  /** "auto", "off", or a GPU's or a backend's name; undefined: "auto". */
  gpu?: string | undefined;
  /** Layers on the GPU; undefined: all. */
  gpuLayers?: number | undefined;
  /** Memory for all its shards, at most; undefined: what is free. */
  memoryBytes?: number | undefined;
  /** Loads shards that only one node holds as standbys, as memory allows; undefined: "auto", and "off" where its shard is named. */
  standby?: Standby | undefined;
  /** Whether its layers follow the cut; undefined: "ask", and "off" where its shard is named. */
  move?: MovePolicy | undefined;
  /** Another cut must be better for so long before anything moves; undefined: MOVE.afterMs. */
  moveAfterMs?: number | undefined;
  /** Give up if no bootstrap answers for so long. */
  bootstrapTimeoutMs: number;
  /** Serve what lies in the folders to others. */
  seed: boolean;
  /** Of the page; undefined: none. */
  diagnostics?: DiagnosticsPlace | undefined;
  /** Disk for parts that too few others keep; undefined: none. */
  spareBytes?: number | undefined;
  /** Disk for what was computed for sessions that ended; undefined: ENGINE_DEFAULTS.keptBytes. */
  cacheBytes?: number | undefined;
}

export const STANDBY_POLICIES = ["auto", "off"] as const;
export type Standby = (typeof STANDBY_POLICIES)[number];

export const MOVE_POLICIES = ["auto", "ask", "off"] as const;
export type MovePolicy = (typeof MOVE_POLICIES)[number];

/** A shard that its operator named stays. */
export function movePolicyOf({
  move = "ask",
  shard,
}: Pick<NodeOptions, "move" | "shard">): MovePolicy {
  return shard === undefined ? move : "off";
}

/** An operator who names a node's shard wants that one, and no other unless that is said too. */
export function keepsStandbys({
  standby,
  shard,
}: Pick<NodeOptions, "standby" | "shard">): boolean {
  return (standby ?? (shard === undefined ? "auto" : "off")) === "auto";
}
