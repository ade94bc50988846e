/**
 * The report: what a process knows about itself and its clusters, in lines for people. Pure. The log prints it every 30 s, `shoal status`
 * for any member. Signs precede states: ★ this node's own, ✓ loaded or yes, ○ online, ↓ downloading, ✗ nobody or no.
 */
import type {
  ClusterStatus,
  NodeStatus,
  OwnShardStatus,
} from "../status/index.ts";
import {
  columnsOf,
  formatBytes,
  formatDuration,
  paintSigns,
  printable,
  toAscii,
  wrapWords,
} from "../lib/index.ts";

export interface ReportOptions {
  ascii?: boolean | undefined;
  color?: boolean | undefined;
  /** Columns of a line at most, except for longer names. */
  width?: number | undefined;
}

export const REPORT = Object.freeze({
  width: 120,
  /** Lines for the shards of one cluster: a screen. With more shards, adjacent ones in the same state share a line. */
  shardLines: 24,
  /** Each relay is one of its own. */
  ways: 12,
  /** Clusters shown in full: a rendezvous may have many. */
  clusters: 8,
});

type Shard = ClusterStatus["shards"][number];

export function reportLines(
  status: NodeStatus,
  options: ReportOptions = {},
): string[] {
  const { clusters } = status;
  const told = clusters.slice(0, REPORT.clusters);
  const lines = [...nodeLines(status), ...told.flatMap(clusterLines)];
  const untold = clusters.slice(told.length);
  if (untold.length > 0) {
    const ready = untold.filter((cluster) => cluster.ready).length;
    lines.push(
      `and ${untold.length} more ${plural(untold.length, "cluster")}, ${ready} of them ready`,
    );
  }
  if (clusters.length === 0) lines.push("No cluster is known");
  return shown(lines, options);
}

/** The report's part about a cluster. */
export function clusterReportLines(
  cluster: ClusterStatus,
  options: ReportOptions = {},
): string[] {
  return shown(clusterLines(cluster), options);
}

/** Printable, painted, wrapped. */
export function shown(
  lines: readonly string[],
  options: ReportOptions,
): string[] {
  const { ascii = false, color = false, width = REPORT.width } = options;
  return lines.flatMap((line) => {
    const text = printable(line);
    const painted = color ? paintSigns(text) : text;
    return fit(ascii ? toAscii(painted) : painted, width);
  });
}

/** Wrapped between words, indented under the beginning of the line. */
function fit(line: string, width: number): string[] {
  if (columnsOf(line) <= width) return [line];
  const text = line.trimStart();
  const indent = " ".repeat(line.length - text.length);
  return wrapWords(text.split(" "), width - indent.length, 2).map(
    (part) => indent + part,
  );
}

function nodeLines(status: NodeStatus): string[] {
  const { role, peer, version, startedMs, nowMs, sessions, shards } = status;
  const lines = [
    `${ROLES[role]} ${peer}`,
    `  Version ${version}, up ${formatDuration(nowMs - startedMs)}`,
  ];
  const rows = shards.map(ownShardRow);
  lines.push(...columns(rows).map((row) => `  ${row}`));
  const engines = new Set(shards.flatMap(({ engine }) => engine ?? []));
  if (engines.size > 0) lines.push(`  Engine: ${[...engines].join(", ")}`);
  if (role === "node" && shards.length === 0) lines.push("  Shard: none yet");
  for (const { index, count, reason, ...shard } of status.givenUp)
    lines.push(
      `  ✗ Gave up shard ${index} of ${count} (${layersText(shard)}): ${reason}`,
    );
  if (sessions !== null) {
    const { active, max, total, failed, tokens } = sessions;
    lines.push(
      `  Requests: ${active}/${max} active, ${total} in total, ${failed} failed, ${tokens} tokens`,
    );
  }
  const ways = waysText(status.connections);
  if (ways !== "") lines.push(`  Connections: ${ways}`);
  if (!status.ready && status.reason !== null)
    lines.push(`  ✗ Not ready: ${status.reason}`);
  return lines;
}

/** "3 direct, 1 LAN, 1 relayed through …Zk3dXw1A": how many by each way, the most used first. */
function waysText(connections: NodeStatus["connections"]): string {
  const groups = Map.groupBy(connections, ({ way, relay }) =>
    relay === null
      ? (way ?? "by an unknown way")
      : `relayed through …${relay.slice(-8)}`,
  );
  return [...groups]
    .toSorted(([, a], [, b]) => b.length - a.length)
    .slice(0, REPORT.ways)
    .map(([way, { length }]) => `${length} ${way}`)
    .join(", ");
}

const ROLES = {
  node: "Node",
  rendezvous: "Rendezvous",
  gateway: "Gateway",
  seeder: "Seeder",
} as const satisfies Record<NodeStatus["role"], string>;

function ownShardRow(shard: OwnShardStatus): string[] {
  const { index, count, state, progress, takenOver } = shard;
  const loaded = state === "ready" || state === "draining";
  const way = state === "downloading" ? percentOf(progress) : "";
  const facts = [
    shard.sizeBytes === null ? undefined : formatBytes(shard.sizeBytes),
    shard.memoryBytes === null
      ? undefined
      : `memory ${formatBytes(shard.memoryBytes)}`,
    shard.msPerToken === null
      ? undefined
      : `${shard.msPerToken.toPrecision(2)} ms/token`,
    takenOver ? "taken over" : undefined,
  ].filter((fact) => fact !== undefined);
  return [
    `Shard ${index} of ${count}`,
    layersText(shard),
    `${loaded ? "✓" : "↓"} ${OWN_STATES[state]}${way}`,
    facts.join(", "),
  ];
}

const OWN_STATES = {
  joining: "joining, not loaded",
  downloading: "downloading",
  loading: "loading",
  ready: "loaded",
  draining: "loaded, leaving",
  gone: "gone",
} as const satisfies Record<OwnShardStatus["state"], string>;

function clusterLines(cluster: ClusterStatus): string[] {
  const { shards, shardCount, complete, ready, reason, model } = cluster;
  const { mixed, clocks } = cluster;
  const { expected, discovered, loaded } = countsOf(cluster);
  const rows = [
    [
      "Shards:",
      `${expected} expected, ${discovered} discovered, ${loaded} loaded`,
    ],
    ["Pipeline complete:", complete ? "✓ yes" : "✗ no"],
    [
      "Swarm ready:",
      ready ? "✓ yes" : `✗ no: ${reason ?? "the reason is not known"}`,
    ],
    ...(mixed === null ? [] : [["Engines:", mixed]]),
    ...(clocks === null ? [] : [["Clocks:", clocks]]),
  ];
  const untold = shardCount === null ? 0 : shardCount - shards.length;
  return [
    `Cluster ${cluster.cluster}: ${model ?? "no model yet"}`,
    ...columns(rows).map((row) => `  ${row}`),
    ...shardLines(cluster).map((row) => `  ${row}`),
    ...(untold > 0 ? [`  and ${untold} more ${plural(untold, "shard")}`] : []),
  ];
}

export interface ShardCounts {
  /** In the plan; "?" if no plan is known. */
  expected: number | "?";
  /** With a holder in any state, and with a loaded one; a node counts itself. */
  discovered: number;
  loaded: number;
}

export function countsOf({ shards, shardCount }: ClusterStatus): ShardCounts {
  return {
    expected: shardCount ?? "?",
    discovered: shards.filter((shard) => shard.holders > 0).length,
    loaded: shards.filter((shard) => shard.loaded > 0).length,
  };
}

const WORDS = {
  local: "★ LOCAL",
  loaded: "✓ ONLINE+LOADED",
  online: "○ ONLINE",
  downloading: "↓ DOWNLOADING",
  offline: "✗ OFFLINE",
} as const satisfies Record<Shard["state"], string>;

/** What people look for first, if not all lines fit. */
const URGENCY: readonly Shard["state"][] = [
  "local",
  "offline",
  "downloading",
  "online",
  "loaded",
];

function shardLines(cluster: ClusterStatus): string[] {
  const shards = cluster.shards.toSorted((a, b) => a.index - b.index);
  const isMany = shards.length > REPORT.shardLines;
  const runs = isMany ? runsOf(shards) : shards.map((shard) => [shard]);
  const isTooMany = runs.length > REPORT.shardLines;
  const told = isTooMany
    ? runs
        .toSorted((a, b) => urgencyOf(a) - urgencyOf(b))
        .slice(0, REPORT.shardLines - 1)
        .sort((a, b) => (a[0]?.index ?? 0) - (b[0]?.index ?? 0))
    : runs;
  const lines = columns(told.map((run) => runRow(run, cluster)));
  if (!isTooMany) return lines;
  const inTold = new Set(told.flat());
  const others = shards.filter((shard) => !inTold.has(shard));
  const counts = URGENCY.flatMap((state) => {
    const count = others.filter((shard) => shard.state === state).length;
    return count === 0 ? [] : [`${count} ${WORDS[state]}`];
  });
  return [...lines, `and ${others.length} more: ${counts.join(", ")}`];
}

function urgencyOf([first]: readonly Shard[]): number {
  return first === undefined ? 0 : URGENCY.indexOf(first.state);
}

/** Adjacent shards in the same state; this node's own stay separate. */
function runsOf(shards: readonly Shard[]): Shard[][] {
  const runs: Shard[][] = [];
  for (const shard of shards) {
    const last = runs.at(-1);
    if (last?.[0]?.state === shard.state && shard.state !== "local")
      last.push(shard);
    else runs.push([shard]);
  }
  return runs;
}

function runRow(run: readonly Shard[], cluster: ClusterStatus): string[] {
  const [first] = run;
  const last = run.at(-1);
  if (first === undefined || last === undefined) return [];
  const name =
    run.length === 1
      ? `Shard ${first.index}`
      : `Shards ${first.index} to ${last.index}`;
  const layers = layersText({
    layerStart: first.layerStart,
    layerEnd: last.layerEnd,
  });
  const way =
    first.state === "downloading" && run.length === 1
      ? percentOf(furthest(first, cluster))
      : "";
  return [name, layers, WORDS[first.state] + way, holdersText(run)];
}

function holdersText(run: readonly Shard[]): string {
  const counts = run.map((shard) => shard.holders);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  if (most === 0) return "";
  const holders =
    least === most
      ? `${most} ${plural(most, "holder")}`
      : `${least} to ${most} holders`;
  const loaded = run.reduce((sum, shard) => sum + shard.loaded, 0);
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (loaded === all) return holders;
  return run.length === 1
    ? `${holders}, ${loaded} loaded`
    : `${holders} each, ${loaded} of ${all} loaded`;
}

/** The downloading holder with the most of it. */
function furthest(
  { index }: Shard,
  { members, manifest }: ClusterStatus,
): OwnShardStatus["progress"] {
  const on = members
    .filter((m) => m.shard === index && m.manifest === manifest)
    .map((m) => m.progress)
    .filter((progress) => progress !== null);
  return on.toSorted((a, b) => partOf(b) - partOf(a))[0] ?? null;
}

function partOf(progress: { doneBytes: number; sizeBytes: number }): number {
  const { doneBytes, sizeBytes } = progress;
  return sizeBytes === 0 ? 0 : Math.min(1, doneBytes / sizeBytes);
}

/**
 * 100 % only when it is complete.
 */
function percentOf(progress: OwnShardStatus["progress"]): string {
  return progress === null ? "" : ` ${Math.floor(100 * partOf(progress))} %`;
}

function layersText(range: { layerStart: number; layerEnd: number }): string {
  const { layerStart, layerEnd } = range;
  const last = layerEnd - 1;
  if (last < layerStart) return "layers ?";
  return last === layerStart ? `layer ${last}` : `layers ${layerStart}-${last}`;
}

/** Aligned cells, two spaces apart. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries())
      widths[i] = Math.max(widths[i] ?? 0, columnsOf(cell));
  return rows.map((row) =>
    row
      .map(
        (cell, i) =>
          cell + " ".repeat(Math.max(0, (widths[i] ?? 0) - columnsOf(cell))),
      )
      .join("  ")
      .trimEnd(),
  );
}

function plural(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}
