import { z } from "zod";
import { defaultThreads, ENGINE_DEFAULTS } from "../engine/index.ts";
import {
  MOVE_POLICIES,
  STANDBY_POLICIES,
  startNode as startRole,
} from "../roles/index.ts";
import { MIN_CONTEXT_TOKENS } from "../model/index.ts";
import {
  bytes,
  check,
  durationMs,
  flag,
  gpuFields,
  modeFields,
  someBytes,
  text,
  whole,
} from "./check.ts";
import {
  type DiagnosticsOptions,
  diagnosticsFields,
  diagnosticsOf,
  memberFields,
  type MemberOptions,
  membershipOf,
  share,
  type TransferOptions,
  transferFields,
  transfersOf,
} from "./member-options.ts";
import { running, type RunningRole, type StartContext } from "./run.ts";

export interface NodeOptions
  extends MemberOptions, DiagnosticsOptions, TransferOptions {
  /**
   * What it holds: a shard by its number, counted from 0, or any layers (`layerEnd` is the first that is not in). `count` is how many shards
   * there are; with `modelDir` it is needed. Default: what the cluster needs most.
   */
  shard?:
    | { index: number; count?: number | undefined }
    | { layerStart: number; layerEnd: number }
    | undefined;
  /** The folder with the shards that `splitModel` wrote, or with the model. Default: the shard is downloaded. */
  modelDir?: string | undefined;
  /** Tokens of one session: prompt and reply together. Default: the model's, up to 32768, as far as memory allows. */
  contextLength?: number | undefined;
  /** Sessions at once. Default: 4. */
  sessions?: number | undefined;
  /** Type of keys and values: f16 is llama.cpp's own, bf16 makes replies independent of what else runs, q8_0 too with half the memory. Default: the cluster's. */
  kv?: "f16" | "bf16" | "q8_0" | undefined;
  /** Sessions share a decode only where no bit changes, wherever it is faster, or never. Default: the cluster's. */
  batch?: "exact" | "fast" | "off" | undefined;
  /** Threads that compute. Default: half of the cores. */
  threads?: number | undefined;
  /** "auto" (the best graphics card that llama.cpp finds, else the CPU), "off" (the CPU), or a name, such as "Vulkan0" or "cuda". Default: "auto". */
  gpu?: string | undefined;
  /** Layers to put on the graphics card; the CPU computes the others. Default: all. */
  gpuLayers?: number | undefined;
  /** Memory for shards, at most. Default: what is free. */
  memoryBytes?: number | undefined;
  /** Loads a shard that only one node holds as a standby, as far as memory allows, and takes over lost ones. Default: "auto", and "off" with `shard`. */
  standby?: "auto" | "off" | undefined;
  /** Its layers follow the machines' speed: "auto" by themselves, "ask" after `shoal plan --agree` on its machine, "off" never. Default: "ask", and "off" with `shard`. */
  move?: "auto" | "ask" | "off" | undefined;
  /** Another cut must be better for so long, while the cluster works, before layers move. Default: 3 min. */
  moveAfterMs?: number | undefined;
  /** Connects members with each other that cannot reach each other: for a machine that all of them reach. Default: false. */
  relay?: boolean | undefined;
  /** Bytes per second that it relays at most, divided among those that send. Default: 32 MiB. */
  relayLimit?: number | undefined;
  /** Shares the files in the model folders with others. Default: true. */
  share?: boolean | undefined;
  /** Disk to lend: keeps extra copies of the rarest parts of the model there. Default: none. */
  spareBytes?: number | undefined;
  /** Disk for keys and values of sessions that ended, for those that begin alike. Default: 2 GB; 0: none. */
  cacheBytes?: number | undefined;
}

/** GGUF counts layers and manifests count shards in 16 bits. */
const number = whole(0, 65_535);
const FORM =
  "must be { index, count } or { layerStart, layerEnd }, with whole numbers from 0";

/** Also of the node that a doctor is asked about. */
export const shardSchema = z
  .union(
    [
      z.strictObject({ index: number, count: number.optional() }),
      z.strictObject({ layerStart: number, layerEnd: number }),
    ],
    { error: FORM },
  )
  .refine(
    (shard) =>
      "index" in shard
        ? shard.count === undefined || shard.index < shard.count
        : shard.layerStart < shard.layerEnd,
    { error: "must have an `index` under its `count`, or at least one layer" },
  )
  // The roles tell "of as many as the plan has" by a key that is not there.
  .transform((shard) =>
    "index" in shard && shard.count === undefined
      ? { index: shard.index }
      : (shard as
          | { index: number; count: number }
          | { layerStart: number; layerEnd: number }),
  );

/** Of a node's engine; also of one that a doctor is asked about. */
export const engineFields = {
  modelDir: text("a folder").optional(),
  contextLength: whole(MIN_CONTEXT_TOKENS, 1 << 24).optional(),
  sessions: whole(1, 256).default(ENGINE_DEFAULTS.sessions),
  ...gpuFields,
  memoryBytes: someBytes.optional(),
};

const schema = z.strictObject({
  ...memberFields,
  ...diagnosticsFields,
  ...transferFields,
  ...engineFields,
  shard: shardSchema.optional(),
  threads: whole(1, 1024).optional(),
  ...modeFields,
  standby: z
    .enum(STANDBY_POLICIES, { error: 'must be "auto" or "off"' })
    .optional(),
  move: z
    .enum(MOVE_POLICIES, { error: 'must be "auto", "ask" or "off"' })
    .optional(),
  moveAfterMs: durationMs.optional(),
  relay: flag.default(false),
  relayLimit: someBytes.optional(),
  share,
  spareBytes: someBytes.optional(),
  cacheBytes: bytes.optional(),
});

/** Starts a node. Resolves once its shard is loaded and the cluster knows of it, which takes as long as a download where one is needed. */
export async function startNode(
  options: NodeOptions,
  context: StartContext = {},
): Promise<RunningRole> {
  const given = check("startNode", schema, options);
  const role = {
    ...membershipOf(given),
    ...transfersOf(given),
    diagnostics: diagnosticsOf(given),
    shard: given.shard,
    modelDir: given.modelDir,
    contextLength: given.contextLength,
    sessions: given.sessions,
    threads: given.threads ?? defaultThreads(),
    kv: given.kv,
    batch: given.batch,
    gpu: given.gpu,
    gpuLayers: given.gpuLayers,
    memoryBytes: given.memoryBytes,
    standby: given.standby,
    move: given.move,
    moveAfterMs: given.moveAfterMs,
    relay: given.relay ? { bytesPerSecond: given.relayLimit } : undefined,
    seed: given.share,
    spareBytes: given.spareBytes,
    cacheBytes: given.cacheBytes,
  };
  return await running("startNode", context, (c) => startRole(role, c));
}
