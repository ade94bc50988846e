/** A status must fit into one reply. */
import type { NodeStatus } from "./types.ts";

/** Below the bound of a command's reply (4 MiB), with room for the rest of the reply. */
export const MAX_STATUS_BYTES = 3 * 1024 * 1024;

/** Halves the longest of the `lists` inside `status` until it fits. Changes them. */
export function fitsReply<T>(status: T, lists: readonly unknown[][]): T {
  while (Buffer.byteLength(JSON.stringify(status)) > MAX_STATUS_BYTES) {
    const [longest] = lists.toSorted((a, b) => b.length - a.length);
    if (longest === undefined || longest.length === 0) break;
    longest.length = Math.floor(longest.length / 2);
  }
  return status;
}

/** The same for a whole node; `status` itself stays unchanged. */
export function nodeStatusThatFits(status: NodeStatus): NodeStatus {
  const copy = structuredClone(status);
  return fitsReply(copy, [
    copy.connections,
    ...copy.clusters.flatMap(({ members, shards }) => [members, shards]),
    ...(copy.torrents === null
      ? []
      : [copy.torrents.contents, copy.torrents.transfers]),
    ...(copy.sessions === null ? [] : [copy.sessions.recent]),
    copy.dht.lookups,
  ]);
}
