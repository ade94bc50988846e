/** Reports when the cluster becomes ready and when it stops being ready, in the same words on every node and gateway. */
import type { ClusterView, Membership } from "../cluster/index.ts";
import { layersOf } from "./route.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";

/** Logs the changes of readiness. Returns the function that ends it. */
export function reportReadiness(
  membership: Membership,
  events: EventSink,
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
        model: view.model,
        shards,
      });
    } else if (was === "ready")
      events.warn("SWARM", `no longer ready: ${state}`);
    else events.info("SWARM", `not ready: ${state}`);
  });
}

/** The error that says which shards are missing. */
export function notReady(view: ClusterView | undefined): ShoalError {
  if (view === undefined)
    return new ShoalError("SWARM_NOT_READY", "no node has joined the cluster", {
      missingShards: [],
    });
  const { missing, shardCount } = view;
  const text = `${missing.length === 1 ? "shard" : "shards"} ${missing.join(", ")} of ${shardCount} ${missing.length === 1 ? "is" : "are"} missing`;
  return new ShoalError(
    "SWARM_NOT_READY",
    missing.length === 0 ? "the available shards do not fit together" : text,
    {
      missingShards: missing,
      shardCount,
    },
  );
}
