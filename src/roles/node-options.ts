import type { TransferFlags } from "../weights/index.ts";
import type { NamedShard } from "./local-shard.ts";
import type { DiagnosticsPlace } from "./own-status.ts";

export interface NodeOptions extends TransferFlags {
  bootstraps: readonly string[];
  cluster: string;
  /** Undefined: what the cluster needs most. */
  shard?: NamedShard | undefined;
  /** Folder with the shard or the model. Undefined: it is fetched. */
  modelDir?: string | undefined;
  listen: readonly string[];
  /** Tokens of one session; undefined: the model's own, up to DEFAULT_CONTEXT. */
  contextLength?: number | undefined;
  sessions: number;
  threads: number;
  /** "auto", "off", or a GPU's or a backend's name; undefined: "auto". */
  gpu?: string | undefined;
  /** Layers on the GPU; undefined: all. */
  gpuLayers?: number | undefined;
  /** Memory for all its shards, at most; undefined: what is free. */
  memoryBytes?: number | undefined;
  /** Give up if no bootstrap answers for so long. */
  bootstrapTimeoutMs: number;
  /** Serve what lies in the folders to others. */
  seed: boolean;
  /** Of the page; undefined: none. */
  diagnostics?: DiagnosticsPlace | undefined;
  /** Disk for parts that too few others keep; undefined: none. */
  spareBytes?: number | undefined;
}
