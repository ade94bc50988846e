/** How long the DHT waits for an operation, and for a peer to ask. */
import { abortable, reasonOf, sleep, type Clock } from "../../lib/index.ts";
import type { WaitOptions } from "../connections.ts";
import { DHT_DEFAULTS } from "../defaults.ts";
import type { Answers } from "./outcome.ts";
import type { Kad } from "./wire.ts";

interface Asker {
  kad: Kad;
  node: { getConnections(): { timeline: { open: number } }[] };
  clock: Pick<Clock, "now">;
}

/** Runs `work` until its end, its deadline (noted in the answers), or the caller's own signal (rejects). */
export async function limited(
  answers: Answers,
  stopping: AbortSignal,
  { timeoutMs = DHT_DEFAULTS.timeoutMs, signal }: WaitOptions,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const limit = AbortSignal.timeout(timeoutMs);
  const all = [limit, stopping];
  if (signal !== undefined) all.push(signal);
  const merged = AbortSignal.any(all);
  try {
    await abortable(work(merged), merged);
  } catch (error) {
    if (signal?.aborted === true) throw reasonOf(signal);
    if (stopping.aborted) throw reasonOf(stopping);
    if (!merged.aborted) throw error;
  }
  answers.complete = !limit.aborted;
}

/** A new connection is not in the routing table yet. */
export async function somebody(
  { kad, node, clock }: Asker,
  signal: AbortSignal,
): Promise<void> {
  const table = kad.routingTable;
  const youngMs = (): number =>
    Math.max(
      0,
      ...node
        .getConnections()
        .map(
          ({ timeline }) =>
            timeline.open + DHT_DEFAULTS.tableGraceMs - clock.now(),
        ),
    );
  if (table.size > 0 || youngMs() === 0) return;
  const grown = Promise.withResolvers<void>();
  const onAdd = (): void => queueMicrotask(grown.resolve);
  table.addEventListener("peer:add", onAdd);
  try {
    await Promise.race([grown.promise, sleep(youngMs(), signal)]);
  } finally {
    table.removeEventListener("peer:add", onAdd);
  }
}
