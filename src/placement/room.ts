/** Whether a shard fits into a node's memory, and what would fit where it does not. Pure. */
import { formatBytes, type KvType, ShoalError } from "../lib/index.ts";
import { checkRange, type LayerRange, type Manifest } from "../model/index.ts";
import {
  contextThatFits,
  MEMORY,
  needsOf,
  planShards,
  type PlanShard,
  type SessionRoom,
} from "./shard-needs.ts";

export const CONTEXT_DEFAULTS = Object.freeze({
  /** What most prompts need, where memory allows; models of today claim 128 k. */
  most: 32_768,
  /** A node with less memory than for so many tokens takes a smaller shard, unless its operator says otherwise. */
  least: 4_096,
});

export interface Wish {
  /** Undefined: the model's, up to CONTEXT_DEFAULTS.most, as far as memory allows. */
  contextLength?: number | undefined;
  /** The most where it is undefined; undefined: CONTEXT_DEFAULTS.most. */
  mostContext?: number | undefined;
  sessions: number;
  kv: KvType;
}

/** What a shard must at least have room for. */
export function leastRoom(
  { contextLength: modelContext }: Pick<Manifest, "contextLength">,
  { contextLength, sessions, kv }: Wish,
): SessionRoom {
  const wanted = contextLength ?? CONTEXT_DEFAULTS.least;
  return { contextLength: Math.min(wanted, modelContext), sessions, kv };
}

/** The room that its sessions get. Throws MEMORY_INSUFFICIENT, naming what does fit into `bytes`. */
export function roomIn(
  bytes: number,
  manifest: Manifest,
  range: LayerRange,
  wish: Wish,
): { shard: PlanShard; room: SessionRoom } {
  const [shard] = planShards(manifest, [range]);
  const least = leastRoom(manifest, wish);
  if (shard === undefined || needsOf(shard, least).totalBytes > bytes)
    throw tooLarge(bytes, manifest, range, least);
  if (wish.contextLength !== undefined) return { shard, room: least };
  const most = wish.mostContext ?? CONTEXT_DEFAULTS.most;
  const contextLength = Math.max(
    least.contextLength,
    Math.min(
      most,
      manifest.contextLength,
      contextThatFits(shard, least, bytes),
    ),
  );
  return { shard, room: { ...least, contextLength } };
}

function tooLarge(
  bytes: number,
  manifest: Manifest,
  range: LayerRange,
  room: SessionRoom,
): ShoalError {
  const [shard] = planShards(manifest, [range]);
  const needs = shard && needsOf(shard, room);
  const { contextLength, sessions } = room;
  return new ShoalError(
    "MEMORY_INSUFFICIENT",
    `layers ${range.layerStart}-${range.layerEnd - 1} need ${formatBytes(needs?.totalBytes ?? 0)} (weights ${formatBytes(needs?.weightBytes ?? 0)}, keys and values of ${sessions} × ${contextLength} tokens ${formatBytes(needs?.kvBytes ?? 0)}, engine ${formatBytes(needs?.engineBytes ?? 0)}); ${formatBytes(bytes)} may be used. ${whatFits(bytes, manifest, range, room)}`,
    { needBytes: needs?.totalBytes, usableBytes: bytes },
  );
}

/** "These layers fit with --context 2048; with 4096 tokens, --layers 0-8 fit" */
export function whatFits(
  bytes: number,
  manifest: Manifest,
  range: LayerRange,
  room: SessionRoom,
): string {
  const [shard] = planShards(manifest, [range]);
  const context = shard === undefined ? 0 : contextThatFits(shard, room, bytes);
  const shorter =
    context === 0
      ? "They fit with no context"
      : `They fit with --context ${Math.min(context, room.contextLength)}`;
  const fewer = rangeThatFits(bytes, manifest, range, room);
  const layers =
    fewer === undefined
      ? `no layers from ${range.layerStart} on do`
      : `--layers ${fewer.layerStart}-${fewer.layerEnd} do`;
  return `${shorter}; with ${room.contextLength} tokens ${layers}`;
}

/** The most layers, from the range's first one on, that fit. */
function rangeThatFits(
  bytes: number,
  manifest: Manifest,
  { layerStart, layerEnd }: LayerRange,
  room: SessionRoom,
): LayerRange | undefined {
  for (let end = layerEnd - 1; end > layerStart; end--) {
    const range = { layerStart, layerEnd: end };
    if (!mayBeShard(manifest, range)) continue;
    const [shard] = planShards(manifest, [range]);
    if (shard !== undefined && needsOf(shard, room).totalBytes <= bytes)
      return range;
  }
  return undefined;
}

function mayBeShard(manifest: Manifest, range: LayerRange): boolean {
  try {
    checkRange(manifest, range);
    return true;
  } catch {
    return false;
  }
}

/** Most sequences of an engine: their number costs little, but each has its logits. */
const MOST_SEQUENCES = 64;
/** llama.cpp writes all keys and values once when it makes a context: a second or two for so many. */
const MOST_WRITTEN_BYTES = 4 * 1024 ** 3;

/**
 * Sequences of an engine, at least one a session: short sessions share the pages of `room`, so that more fit than long ones. Each has room
 * for a whole context, which llama.cpp writes once and the engine then gives back, so all must fit into `bytes` for that moment.
 */
export function sequencesIn(
  bytes: number,
  shard: PlanShard,
  room: SessionRoom,
  returnsPages: boolean,
): number {
  // A state is as large for a short session, and is not given back.
  if (!returnsPages || shard.stateBytesPerSession > 0) return room.sessions;
  const fits = (sequences: number): boolean => {
    const needs = needsOf(shard, { ...room, sessions: sequences });
    return needs.totalBytes <= bytes && needs.kvBytes <= MOST_WRITTEN_BYTES;
  };
  for (let n = MOST_SEQUENCES; n > room.sessions; n--)
    // Others would make the largest decode, and its buffers, larger.
    if (MEMORY.decodeTokens % n === 0 && fits(n)) return n;
  return room.sessions;
}
