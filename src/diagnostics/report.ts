/**
 * Logs the state of the process: at once on SIGUSR2, and every 30 s. One event has structured fields for machines and the report's lines
 * for people.
 *
 *     stack.defer(startReports({ status: () => nodeStatus(…), events }));
 */
import { constants } from "node:os";
import type { ClusterStatus, NodeStatus } from "../status/index.ts";
import {
  type Clock,
  type EventFields,
  type EventSink,
  LOG_LINE_COLUMNS,
  ShoalError,
  systemClock,
} from "../lib/index.ts";
import { countsOf, reportLines } from "./report-lines.ts";

export interface ReportsOptions {
  /** The current state. An error is logged instead of a report. */
  status: () => NodeStatus;
  events: EventSink;
  everyMs?: number | undefined;
  clock?: Clock | undefined;
}

export const REPORT_EVERY_MS = 30_000;

/** Returns the function that ends it, which may be called twice. */
export function startReports(options: ReportsOptions): () => void {
  const { status, events } = options;
  const { everyMs = REPORT_EVERY_MS, clock = systemClock } = options;
  let cancel: (() => void) | undefined;
  const report = (): void => {
    try {
      emitReport(events, status());
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      events.error("STATUS", `no report: ${message}`, { code });
    }
  };
  const again = (): void => {
    cancel = clock.after(everyMs, () => {
      again();
      report();
    });
  };
  again();
  const forget = onSignal(report);
  return () => {
    cancel?.();
    forget();
  };
}

/** Of all roles of this process, which share one listener. */
const asked = new Set<() => void>();
const reportAll = (): void => {
  for (const report of asked) report();
};

function onSignal(report: () => void): () => void {
  // Not on Windows.
  if (!("SIGUSR2" in constants.signals)) return () => {};
  if (asked.size === 0) process.on("SIGUSR2", reportAll);
  asked.add(report);
  return () => {
    asked.delete(report);
    if (asked.size === 0) process.off("SIGUSR2", reportAll);
  };
}

function emitReport(events: EventSink, status: NodeStatus): void {
  const lines = reportLines(status, { width: LOG_LINE_COLUMNS });
  events.info("STATUS", summaryOf(status), fieldsOf(status), lines);
}

/** In one line, for readers without the report. */
export function summaryOf({ clusters, ready, reason }: NodeStatus): string {
  const [cluster, ...others] = clusters;
  if (cluster === undefined)
    return ready ? "ready" : `not ready: ${reason ?? "no cluster is known"}`;
  if (others.length > 0) {
    const readyCount = clusters.filter((c) => c.ready).length;
    return `${clusters.length} clusters, ${readyCount} of them ready`;
  }
  const { expected, loaded } = countsOf(cluster);
  const shards = `${loaded} of ${expected} shards loaded`;
  return cluster.ready
    ? `swarm ready: ${shards}`
    : `swarm not ready: ${shards}: ${cluster.reason ?? "the reason is not known"}`;
}

/** Flat, so that a JSON line can be filtered. Only the first cluster is reported in full, because a node has one. */
function fieldsOf(status: NodeStatus): EventFields {
  const { role, peer, shards, sessions, clusters } = status;
  const [cluster] = clusters;
  return {
    role,
    peer,
    upSeconds: Math.floor((status.nowMs - status.startedMs) / 1000),
    ownShards: shards.map((s) => `${s.index}/${s.count}:${s.state}`),
    takenOver: shards.filter((s) => s.takenOver).map((s) => s.index),
    active: sessions?.active,
    max: sessions?.max,
    total: sessions?.total,
    failed: sessions?.failed,
    tokens: sessions?.tokens,
    ...(cluster && clusterFields(cluster)),
    clusters: clusters.map((c) => `${c.cluster}:${c.ready ? "ready" : "no"}`),
  };
}

function clusterFields(cluster: ClusterStatus): EventFields {
  const { expected, discovered, loaded } = countsOf(cluster);
  return {
    cluster: cluster.cluster,
    model: cluster.model ?? undefined,
    expected: expected === "?" ? undefined : expected,
    discovered,
    loaded,
    complete: cluster.complete,
    ready: cluster.ready,
    reason: cluster.reason ?? undefined,
    mixed: cluster.mixed ?? undefined,
    clocks: cluster.clocks ?? undefined,
    missing: cluster.missing,
    shards: cluster.shards.map((shard) => `${shard.index}:${shard.state}`),
  };
}
