/** The state of a cluster for all readers: a pure function of the records. Unknown is null, never a made-up number. */
import type { Announcement } from "./announcement.ts";
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
}

type ShardState = ClusterStatus["shards"][number]["state"];

export function clusterStatus(facts: ClusterFacts): ClusterStatus {
  const { announcements, published, ownPeer } = facts;
  const view = clusterView(announcements, published);
  const shardCount = view?.shardCount ?? published?.shards ?? null;
  const lines = shardCount === null ? [] : shardLines(view, shardCount);
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
      .map((a) => member(a, facts.sinceMs(a) ?? a.issuedMs)),
    refused: facts.refused,
  };
}

interface Line {
  index: number;
  layerStart: number;
  layerEnd: number;
  holders: readonly Announcement[];
}

/** One line per shard of the plan. Adjacent shards without holder show their joint layers, because nobody knows how they divide. */
function shardLines(view: ClusterView | undefined, shardCount: number): Line[] {
  const count = Math.min(shardCount, STATUS_LIMITS.shards);
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
  let start = 0;
  for (const line of lines) {
    if (line.layerStart < 0) line.layerStart = start;
    else start = line.layerEnd;
  }
  let end = view?.layerCount ?? 0;
  for (const line of lines.toReversed()) {
    if (line.layerEnd < 0) line.layerEnd = Math.max(end, line.layerStart);
    else end = line.layerStart;
  }
  return lines;
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

/** The one reason why prompts cannot run: the shard that is furthest from ready. */
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
  const { index, layerStart, layerEnd, holders } = worst;
  const shard = `shard ${index} of ${lines.length}`;
  const [best] = holders.toSorted(
    (a, b) => PROGRESS.indexOf(b.state) - PROGRESS.indexOf(a.state),
  );
  if (best === undefined) {
    const layers = layerEnd > layerStart ? rangeText(layerStart, layerEnd) : "";
    return `${shard}${layers} has no holder`;
  }
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

function member(a: Announcement, sinceMs: number): MemberStatus {
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
    progress: a.progress ?? null,
    version: a.version,
    issuedMs: a.issuedMs,
    sinceMs,
    links: a.links ?? [],
  };
}
