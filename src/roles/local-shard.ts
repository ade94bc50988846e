/** A shard that lies in the operator's folder, so that nothing has to be downloaded. */
import { type EventSink, ShoalError } from "../lib/index.ts";
import {
  findShard,
  type PlannedShard,
  rangeOf,
  type ShardSource,
} from "../weights/index.ts";
import type { LayerRange } from "../model/index.ts";

/** Its number, with the number of all where the shard is on disk; or any layers. */
export type NamedShard =
  { index: number; count?: number | undefined } | LayerRange;

export interface ShardFolders {
  /** What the operator named; undefined: what the cluster needs most. */
  shard?: NamedShard | undefined;
  modelDir?: string | undefined;
  /** Of all models that were downloaded. */
  modelsDir: string;
  events: EventSink;
  signal: AbortSignal;
}

/** The shard of that number in the operator's folder; undefined where it has to be fetched. */
export async function namedShard(
  folders: ShardFolders,
): Promise<(ShardSource & PlannedShard) | undefined> {
  const { shard, modelDir, modelsDir, events, signal } = folders;
  if (modelDir === undefined || shard === undefined || !("index" in shard))
    return undefined;
  const { index, count } = shard;
  if (count === undefined) {
    throw new ShoalError(
      "USAGE",
      `with --model-dir, --shard needs the number of shards too, such as ${index}/4`,
      { index },
    );
  }
  const wanted = { modelDir, index, count, modelsDir, events, signal };
  return { ...(await findShard(wanted)), number: { index, count } };
}

/** The same for a shard of the plan that was not named: only if the folder holds the cluster's model. */
export async function unnamedShard(
  { modelDir, modelsDir, events, signal }: ShardFolders,
  { id, number, manifest, range }: PlannedShard,
): Promise<ShardSource | undefined> {
  if (modelDir === undefined) return undefined;
  const { layerStart, layerEnd } = rangeOf(
    manifest,
    number.index,
    number.count,
  );
  if (layerStart !== range.layerStart || layerEnd !== range.layerEnd)
    return undefined;
  try {
    const wanted = { modelDir, ...number, modelsDir, events, signal };
    const found = await findShard(wanted);
    return found.id === id ? found : undefined;
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = ShoalError.from(error);
    const what = `not using --model-dir for this shard: ${message}`;
    events.info("SHARD", what, { code });
    return undefined;
  }
}

/** For people. */
export function nameOfWanted(shard: NamedShard | undefined): string {
  if (shard === undefined) return "what the cluster needs most";
  if ("layerStart" in shard)
    return `layers ${shard.layerStart}-${shard.layerEnd - 1}`;
  return `${shard.index}/${shard.count ?? "?"}`;
}
