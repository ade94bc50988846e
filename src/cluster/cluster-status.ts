/** The state of a cluster for all readers: a pure function of the records. Unknown is null, never a made-up number. */
import type { Announcement } from "./announcement.ts";
import { mixedEngines } from "./mixed-engines.ts";
import type { ClusterRecord } from "./cluster-record.ts";
import {
  type ClusterStatus,
  type MemberStatus,
  STATUS_LIMITS,
} from "../status/index.ts";
import { type ClusterView, clusterView } from "./view.ts";

export interface ClusterFacts {
  cluster: string;
  /** Live announcements, including this node's own. */
  announcements: readonly Announcement[];
  ownPeer: string;
  published: Pick<ClusterRecord, "manifest" | "model" | "shards"> | undefined;
  refused: Record<string, number>;
  sinceMs: (announcement: Announcement) => number | undefined;
  heardMs: (announcement: Announcement) => number | undefined;
  /** Of a member's clock, minus this process's. */
  clockAheadMs?:
    ((announcement: Announcement) => number | undefined) | undefined;
  /** Where else its identity runs. */
  rivalOf?: ((announcement: Announcement) => string[] | undefined) | undefined;
  /** In one line, if they are too far apart. */
  clocks?: string | undefined;
  planOf?: PlanOf | undefined;
}

/** The layers of each shard of a model's plan, if this process has the model's manifest. */
export type PlanOf = (
  manifest: string,
  shards: number,
) => readonly { layerStart: number; layerEnd: number }[] | undefined;

type ShardState = ClusterStatus["shards"][number]["state"];

export function clusterStatus(facts: ClusterFacts): ClusterStatus {
  const { announcements, published, ownPeer } = facts;
  const view = clusterView(announcements, published);
  const shardCount = view?.shardCount ?? published?.shards ?? null;
  const lines =
    shardCount === null ? [] : shardLines(view, shardCount, facts.planOf);
  const missing = lines
    .filter(({ holders }) => !holders.some((a) => a.state === "ready"))
    .map(({ index }) => index);
  return {
    cluster: facts.cluster,
    model: view?.model ?? published?.model ?? null,
    manifest: view?.manifest ?? published?.manifest ?? null,
    layerCount: view?.layerCount ?? null,
    shardCount,
    complete: view?.complete ?? false,
    ready: view?.ready ?? false,
    reason: view?.ready === true ? null : reasonOf(facts, view, lines),
    missing: view?.ready === true ? [] : missing,
    shards: lines.map((line) => ({
      index: line.index,
      layerStart: line.layerStart,
      layerEnd: line.layerEnd,
      state: stateOf(line.holders, ownPeer),
      loaded: line.holders.filter((a) => a.state === "ready").length,
      holders: line.holders.length,
    })),
    members: announcements
      .slice(0, STATUS_LIMITS.members)
      .map((a) => member(a, facts)),
    refused: facts.refused,
    mixed: mixedEngines(announcements) ?? null,
    clocks: facts.clocks ?? null,
  };
}

interface Line {
  index: number;
  layerStart: number;
  layerEnd: number;
  holders: readonly Announcement[];
}

/** One line per shard of the plan. A shard whose layers nobody here knows has an empty range. */
function shardLines(
  view: ClusterView | undefined,
  shardCount: number,
  planOf: PlanOf | undefined,
): Line[] {
  const count = Math.min(shardCount, STATUS_LIMITS.shards);
  const layerCount = view?.layerCount ?? 0;
  const held = Map.groupBy(
    (view?.shards ?? [])
      .flatMap(({ holders }) => holders)
      .filter((a) => a.shard.count === shardCount),
    (a) => a.shard.index,
  );
  const lines: Line[] = Array.from({ length: count }, (_, index) => {
    const holders = held.get(index) ?? [];
    const [first] = holders;
    return {
      index,
      layerStart: first?.layerStart ?? -1,
      layerEnd: first?.layerEnd ?? -1,
      holders,
    };
  });
  const isWhole = lines.every(({ holders }) => holders.length > 0);
  const plan =
    view === undefined || isWhole
      ? undefined
      : planOf?.(view.manifest, shardCount);
  if (plan?.length === shardCount) {
    for (const line of lines)
      if (line.holders.length === 0) Object.assign(line, plan[line.index]);
    return lines;
  }
  let start = 0;
  for (const run of runsOf(lines)) {
    const next = lines[(run.at(-1)?.index ?? 0) + 1];
    const end = next?.layerStart ?? (count < shardCount ? 0 : layerCount);
    if (run[0] !== undefined && run[0].holders.length === 0)
      placeAbsent(run, start, Math.max(start, end));
    start = run.at(-1)?.layerEnd ?? start;
  }
  return lines;
}

/** Adjacent shards, all with holders or all without. */
function runsOf(lines: readonly Line[]): Line[][] {
  const runs: Line[][] = [];
  for (const line of lines) {
    const last = runs.at(-1);
    const isAbsent = line.holders.length === 0;
    if (last !== undefined && (last[0]?.holders.length === 0) === isAbsent)
      last.push(line);
    else runs.push([line]);
  }
  return runs;
}

/**
 * Absent shards between the layers `start` and `end`. The plan follows from the sizes of the layers, which the records do not say. So each
 * shard's own layers are known if it is alone there, or if each has a single layer. Else the first shard has an empty range at `start`, the
 * others at `end`: together they show the layers that are missing.
 */
function placeAbsent(run: readonly Line[], start: number, end: number): void {
  const isOneEach = end - start === run.length;
  for (const [i, line] of run.entries()) {
    if (run.length === 1) [line.layerStart, line.layerEnd] = [start, end];
    else if (isOneEach) {
      line.layerStart = start + i;
      line.layerEnd = start + i + 1;
    } else line.layerStart = line.layerEnd = i === 0 ? start : end;
  }
}

function stateOf(
  holders: readonly Announcement[],
  ownPeer: string,
): ShardState {
  const ready = holders.filter((a) => a.state === "ready");
  if (ready.some((a) => a.peer === ownPeer)) return "local";
  if (ready.length > 0) return "loaded";
  if (holders.some((a) => a.state !== "downloading")) return "online";
  return holders.length > 0 ? "downloading" : "offline";
}

/** The one reason why prompts cannot run: all shards without a holder, else the shard that is furthest from ready. */
function reasonOf(
  { published }: ClusterFacts,
  view: ClusterView | undefined,
  lines: readonly Line[],
): string {
  if (view === undefined) {
    return published === undefined
      ? "no node has joined the cluster"
      : `no node holds a shard of ${published.model} yet`;
  }
  const waiting = lines.filter(
    ({ holders }) => !holders.some((a) => a.state === "ready"),
  );
  const [worst] = waiting.toSorted((a, b) => distance(a) - distance(b));
  if (worst === undefined) return "the available shards do not fit together";
  const { index, holders } = worst;
  const shard = `shard ${index} of ${lines.length}`;
  const [best] = holders.toSorted(
    (a, b) => PROGRESS.indexOf(b.state) - PROGRESS.indexOf(a.state),
  );
  if (best === undefined) return absentText(lines);
  const who = `…${best.peer.slice(-8)}`;
  switch (best.state) {
    case "downloading":
      return `${shard} is being downloaded by ${who}${percent(best)}`;
    case "loading":
      return `${shard} is being loaded by ${who}`;
    case "draining":
      return `${shard} has only ${who}, which is leaving`;
    default:
      return `${shard} has only ${who}, which is still joining`;
  }
}

/** The progress of a holder, least first. */
const PROGRESS: readonly Announcement["state"][] = [
  "gone",
  "draining",
  "joining",
  "downloading",
  "loading",
  "ready",
];

function distance({ holders }: Line): number {
  return Math.max(-1, ...holders.map((a) => PROGRESS.indexOf(a.state)));
}

/** Runs of absent shards that the reason names: a line. */
const NAMED_RUNS = 8;

/** "shards 1-3 (layers 4-15), 6 (layers 24-27) of 8 have no holder" */
function absentText(lines: readonly Line[]): string {
  const runs = runsOf(lines).filter(([first]) => first?.holders.length === 0);
  const names = runs.slice(0, NAMED_RUNS).map((run) => {
    const [first, last] = [run[0]?.index ?? 0, run.at(-1)?.index ?? 0];
    const layerStart = run[0]?.layerStart ?? 0;
    const layerEnd = run.at(-1)?.layerEnd ?? 0;
    return {
      numbers: first === last ? `${first}` : `${first}-${last}`,
      layers: layerEnd > layerStart ? rangeText(layerStart, layerEnd) : "",
    };
  });
  const [only] = names;
  const isAlone = runs.length === 1 && runs[0]?.length === 1;
  if (runs.length === 1 && only !== undefined)
    return `${isAlone ? "shard" : "shards"} ${only.numbers} of ${lines.length}${only.layers} ${isAlone ? "has" : "have"} no holder`;
  const more = runs.slice(NAMED_RUNS).flat().length;
  const listed = names.map(({ numbers, layers }) => numbers + layers);
  const others = more === 0 ? "" : ` and ${more} more`;
  return `shards ${listed.join(", ")}${others} of ${lines.length} have no holder`;
}

function rangeText(layerStart: number, layerEnd: number): string {
  const last = layerEnd - 1;
  return last === layerStart
    ? ` (layer ${last})`
    : ` (layers ${layerStart}-${last})`;
}

function percent({ progress }: Announcement): string {
  if (progress === undefined || progress.sizeBytes === 0) return "";
  return `, ${Math.floor((100 * progress.doneBytes) / progress.sizeBytes)} %`;
}

function member(
  a: Announcement,
  { sinceMs, heardMs, clockAheadMs, rivalOf }: ClusterFacts,
): MemberStatus {
  return {
    peer: a.peer,
    shard: a.shard.index,
    layerStart: a.layerStart,
    layerEnd: a.layerEnd,
    manifest: a.manifest,
    state: a.state,
    addresses: a.addresses,
    sessions: a.sessions,
    msPerToken: a.msPerToken ?? null,
    memoryBytes: a.memoryBytes ?? null,
    engine: a.engine ?? null,
    progress: a.progress ?? null,
    version: a.version,
    issuedMs: a.issuedMs,
    heardMs: heardMs(a) ?? a.issuedMs,
    sinceMs: sinceMs(a) ?? a.issuedMs,
    clockAheadMs: clockAheadMs?.(a) ?? null,
    rivalAddresses: rivalOf?.(a) ?? null,
    links: a.links ?? [],
    roundTripsMs: (a.roundTrips ?? []).map((tenths) =>
      tenths === 0 ? null : tenths / 10,
    ),
  };
}
