/**
 * The position of each peer in the drawing of the network, always the same for the same cluster. This process is in the middle, around it
 * are peers without a shard, and outside a ray for each shard with its holders. Pure.
 */
import type { ClusterStatus, NodeStatus } from "./types.ts";
import { nodeRows, type NodeRow } from "./nodes.ts";

export interface Spot {
  row: NodeRow;
  x: number;
  y: number;
}

export interface Drawing {
  spots: Spot[];
  /** SVG path data: connections that others report; this process's own. */
  others: string;
  own: string;
  relayed: string;
  labels: { text: string; x: number; y: number }[];
  edges: number;
}

export const WIDTH = 1_000;
export const HEIGHT = 640;
const [CX, CY] = [WIDTH / 2, HEIGHT / 2];
/** As fractions of half the width and height: peers without a shard, a shard's first holder, the outermost. */
const INNER = 0.22;
const FIRST = 0.42;
const OUTER = 0.84;
const LABEL = 0.95;

export function drawingOf(
  status: NodeStatus,
  cluster: ClusterStatus | undefined,
): Drawing {
  const rows = nodeRows(status, cluster).toSorted((a, b) =>
    a.peer < b.peer ? -1 : 1,
  );
  const spots: Spot[] = [];
  const labels: Drawing["labels"] = [];
  const shards = cluster?.shards ?? [];
  const byShard = Map.groupBy(
    rows.filter(({ isSelf, held }) => !isSelf && held.length > 0),
    ({ held }) => held[0]?.shard ?? 0,
  );
  const rest = rows.filter(({ isSelf, held }) => !isSelf && held.length === 0);
  for (const row of rows) if (row.isSelf) spots.push({ row, x: CX, y: CY });
  for (const [i, row] of rest.entries())
    spots.push({ row, ...at(i / rest.length, INNER) });
  const most = Math.max(1, ...[...byShard.values()].map((g) => g.length));
  const step = Math.min(0.16, (OUTER - FIRST) / Math.max(1, most - 1));
  for (const [i, { index }] of shards.entries()) {
    const turn = (i + 0.5) / shards.length;
    for (const [k, row] of (byShard.get(index) ?? []).entries())
      spots.push({ row, ...at(turn, OUTER - k * step) });
    labels.push({ text: `${index}`, ...at(turn, LABEL) });
  }
  return { spots, labels, ...edgesOf(status, spots) };
}

/** `turn` 0 is above, clockwise. */
function at(turn: number, radius: number): { x: number; y: number } {
  const angle = turn * 2 * Math.PI - Math.PI / 2;
  return {
    x: Math.round(CX + Math.cos(angle) * radius * CX),
    y: Math.round(CY + Math.sin(angle) * radius * CY),
  };
}

function edgesOf(
  status: NodeStatus,
  spots: readonly Spot[],
): Pick<Drawing, "others" | "own" | "relayed" | "edges"> {
  const places = new Map(spots.map((spot) => [spot.row.peer, spot]));
  const byEnd = new Map(spots.map((spot) => [spot.row.peer.slice(-8), spot]));
  const self = places.get(status.peer);
  const [own, relayed]: string[][] = [[], []];
  const seen = new Set<string>();
  if (self !== undefined)
    for (const { peer, relayed: isRelayed } of status.connections) {
      const spot = places.get(peer);
      if (spot === undefined || !isNew(seen, status.peer, peer)) continue;
      (isRelayed ? relayed : own)?.push(lineOf(self, spot));
    }
  const others: string[] = [];
  for (const spot of spots)
    for (const link of new Set(spot.row.held.flatMap(({ links }) => links))) {
      const other = byEnd.get(link.slice(-8));
      if (other === undefined || other === spot) continue;
      if (isNew(seen, spot.row.peer, other.row.peer))
        others.push(lineOf(spot, other));
    }
  return {
    others: others.join(""),
    own: own?.join("") ?? "",
    relayed: relayed?.join("") ?? "",
    edges: seen.size,
  };
}

/** A connection is one line, whoever reports it. */
function isNew(seen: Set<string>, a: string, b: string): boolean {
  const key = a < b ? `${a} ${b}` : `${b} ${a}`;
  if (seen.has(key)) return false;
  seen.add(key);
  return true;
}

function lineOf(a: Spot, b: Spot): string {
  return `M${a.x} ${a.y}L${b.x} ${b.y}`;
}
