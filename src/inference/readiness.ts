/** Reports when the cluster becomes ready and when it stops being ready, in the same words on every node and gateway. */
import type { ClusterView, Membership } from "../cluster/index.ts";
import { layersOf } from "./route.ts";
import { type EventFields, type EventSink, ShoalError } from "../lib/index.ts";

/** Logs the changes of readiness, with what it is `about`. Returns the function that ends it. */
export function reportReadiness(
  membership: Membership,
  events: EventSink,
  about: EventFields = {},
): () => void {
  let last: string | undefined;
  return membership.onChange((view) => {
    const state = view?.ready === true ? "ready" : notReady(view).message;
    if (state === last) return;
    const was = last;
    last = state;
    if (view?.ready === true) {
      const shards = view.shards.map(
        (shard) =>
          `${shard.index}: ${layersOf(shard)} × ${shard.holders.length}`,
      );
      events.info("SWARM", "ready: every layer is loaded", {
        ...about,
        model: view.model,
        shards,
      });
    } else if (was === "ready")
      events.warn("SWARM", `no longer ready: ${state}`, about);
    else events.info("SWARM", `not ready: ${state}`, about);
  });
}

/** The error that says which shards are missing, and what a request waits for then. */
export function notReady(view: ClusterView | undefined): ShoalError {
  if (view === undefined)
    return new ShoalError("SWARM_NOT_READY", "no node has joined the cluster", {
      missingShards: [],
      waitingFor: "a node to join",
    });
  const { missing, shardCount } = view;
  const missingLayers = layersWithoutHolder(view);
  if (missing.length === 0)
    return new ShoalError(
      "SWARM_NOT_READY",
      "the available shards do not fit together",
      {
        missingShards: missing,
        shardCount,
        waitingFor: "shards that fit together",
      },
    );
  const isOne = missing.length === 1;
  const shards = `${isOne ? "shard" : "shards"} ${missing.join(", ")} of ${shardCount}`;
  const ranges = missingLayers.map(rangeOf);
  const layers = `layers ${ranges.join(", ")}`;
  return new ShoalError(
    "SWARM_NOT_READY",
    `${shards} ${isOne ? "is" : "are"} missing`,
    {
      missingShards: missing,
      shardCount,
      missingLayers: ranges,
      waitingFor:
        missing.length <= MOST_NAMED && ranges.length > 0
          ? `${shards} (${layers})`
          : `${missing.length} shards of ${shardCount}`,
    },
  );
}

/** Of shards in a line that people read. */
const MOST_NAMED = 8;

interface Layers {
  layerStart: number;
  layerEnd: number;
}

/** The stretches that no loaded shard covers, in order. */
function layersWithoutHolder({ layerCount, shards }: ClusterView): Layers[] {
  const gaps: Layers[] = [];
  let reached = 0;
  for (const { layerStart, layerEnd, loaded } of shards) {
    if (!loaded) continue;
    if (layerStart > reached)
      gaps.push({ layerStart: reached, layerEnd: layerStart });
    reached = Math.max(reached, layerEnd);
  }
  if (reached < layerCount)
    gaps.push({ layerStart: reached, layerEnd: layerCount });
  return gaps;
}

/** "8-11", both ends included. */
function rangeOf({ layerStart, layerEnd }: Layers): string {
  return `${layerStart}-${layerEnd - 1}`;
}

/** What a reply waits for after `error` on `route`: "shard 2 of 4 (layers 8-11)". */
export function awaited(
  error: ShoalError,
  route: readonly Layers[] = [],
): string {
  const { waitingFor, stage } = error.details;
  if (typeof waitingFor === "string") return waitingFor;
  if (error.code === "BUSY") return "a free session";
  const lost = typeof stage === "number" ? route[stage] : undefined;
  return lost === undefined
    ? "the stages of its route"
    : `stage ${String(stage)} of ${route.length} (${layersOf(lost)})`;
}
