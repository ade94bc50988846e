/** A stage that the cluster has lost would be dialled in vain, for seconds, while another takes its place. */
import type { ClusterView } from "../cluster/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { Changes } from "./changes.ts";
import { lost } from "./gateway-session.ts";
import type { RouteStage } from "./route.ts";

export interface WhileOpening {
  changes: Changes;
  view: () => ClusterView | undefined;
  /** Aborts once the session is open, or has failed. */
  signal: AbortSignal;
}

/** Aborts `gone` with STAGE_LOST once a stage of a session that is being opened has left the view. */
export async function abortOnceGone(
  gone: AbortController,
  route: readonly RouteStage[],
  { changes, view, signal }: WhileOpening,
): Promise<void> {
  while (!signal.aborted) {
    const there = new Set(
      view()?.shards.flatMap(({ holders }) => holders.map(({ peer }) => peer)),
    );
    const index = route.findIndex(({ peer }) => !there.has(peer));
    const stage = route[index];
    if (stage !== undefined) {
      const why = new ShoalError("STREAM_CLOSED", "it has left the cluster");
      gone.abort(lost(index, stage, why));
      return;
    }
    await changes.next(signal);
  }
}
