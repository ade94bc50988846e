/** The state as text, safe to paste: ids by their ends, addresses without their last half, no prompt. */
import {
  clock,
  count,
  layers,
  ms,
  percent,
  seconds,
  shortPeer,
} from "./format.ts";
import { type NodeRow, nodeRows } from "./nodes.ts";
import type { LogEntry, NodeStatus } from "./types.ts";
import { SHARD_WORDS } from "./words.ts";

/** Members in a report. */
const MEMBERS = 60;
const TROUBLES = 10;

export function reportText(
  status: NodeStatus,
  entries: readonly LogEntry[],
): string {
  const { role, version, peer, nowMs, startedMs } = status;
  const lines = [
    `Shoal ${version}, ${role} ${shortPeer(peer)}, up ${seconds((nowMs - startedMs) / 1000)}, ${new Date(nowMs).toISOString()}`,
    status.ready ? "ready" : `not ready: ${shortened(status.reason ?? "")}`,
    `${count(status.connections.length)} connections, ${count(status.dht.peers)} peers in the DHT`,
  ];
  for (const cluster of status.clusters) {
    lines.push(
      "",
      `cluster ${cluster.cluster}: ${cluster.model ?? "no model"}, ${cluster.ready ? "ready" : `not ready: ${shortened(cluster.reason ?? "")}`}`,
      ...cluster.shards.map(
        (shard) =>
          `  shard ${shard.index}, layers ${layers(shard)}: ${SHARD_WORDS[shard.state][0].toLowerCase()}, ${shard.loaded} of ${shard.holders} holders ready`,
      ),
    );
    const rows = nodeRows(status, cluster).filter(
      ({ held }) => held.length > 0,
    );
    lines.push(...rows.slice(0, MEMBERS).map(line));
    if (rows.length > MEMBERS) lines.push(`  … ${rows.length - MEMBERS} more`);
  }
  const troubles = entries
    .flatMap((entry) =>
      entry.kind === "event" && /warn|error/.test(entry.level) ? entry : [],
    )
    .slice(-TROUBLES);
  if (troubles.length > 0) lines.push("", "last warnings:");
  for (const { timeMs, tag, message } of troubles)
    lines.push(`  ${clock(timeMs)} [${tag}] ${shortened(message)}`);
  return `${lines.join("\n")}\n`;
}

function line(row: NodeRow): string {
  const shards = row.held.map(
    (m) =>
      `shard ${m.shard} ${m.state}${m.progress === null ? "" : ` ${percent(m.progress.doneBytes, m.progress.sizeBytes)}`}`,
  );
  return `  ${shortPeer(row.peer)} ${shards.join(", ")}, ${row.transport ?? "not connected"} ${shortened(row.address ?? "")}, round trip ${ms(row.roundTripMs)}, sessions ${count(row.active)}/${count(row.max)}, ${ms(row.msPerToken)} a token`;
}

/** Shortens ids and addresses. */
export function shortened(text: string): string {
  return text
    .replaceAll(
      /12D3KooW[1-9A-HJ-NP-Za-km-z]{36}([1-9A-HJ-NP-Za-km-z]{8})/g,
      "…$1",
    )
    .replaceAll(/\b(\d{1,3}\.\d{1,3})\.\d{1,3}\.\d{1,3}\b/g, "$1.x.x")
    .replaceAll(/\b([0-9a-f]{1,4}:[0-9a-f]{1,4}):[0-9a-f:]{3,}/gi, "$1:…");
}
