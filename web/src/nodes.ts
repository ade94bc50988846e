/** One line for each known peer: this process, the holders of shards, and connected peers. Pure. */
import type { ClusterStatus, MemberStatus, NodeStatus } from "./types.ts";

export interface NodeRow {
  peer: string;
  isSelf: boolean;
  role: string | null;
  /** What it holds; several shards are several members. */
  held: readonly MemberStatus[];
  state: MemberStatus["state"] | null;
  transport: string | null;
  address: string | null;
  roundTripMs: number | null;
  active: number | null;
  max: number | null;
  msPerToken: number | null;
  memoryBytes: number | null;
  /** What computes: "llama.cpp v0.5.0 on CPU". */
  engine: string | null;
  version: string | null;
  sinceMs: number | null;
}

/** The state that is furthest from ready is the one that matters. */
const ORDER: readonly MemberStatus["state"][] = [
  "gone",
  "joining",
  "downloading",
  "loading",
  "draining",
  "ready",
];

export function nodeRows(
  status: NodeStatus,
  cluster: ClusterStatus | undefined,
): NodeRow[] {
  const held = Map.groupBy(cluster?.members ?? [], ({ peer }) => peer);
  const connections = new Map(
    status.connections.map((connection) => [connection.peer, connection]),
  );
  const peers = new Set([status.peer, ...held.keys(), ...connections.keys()]);
  return [...peers].map((peer) => {
    const members = held.get(peer) ?? [];
    const connection = connections.get(peer);
    const isSelf = peer === status.peer;
    const times = members.flatMap(({ msPerToken }) => msPerToken ?? []);
    const sum = (of: (m: MemberStatus) => number | null): number | null => {
      const known = members.flatMap((m) => of(m) ?? []);
      return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
    };
    const worst = members.toSorted(
      (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state),
    )[0];
    return {
      peer,
      isSelf,
      role: isSelf ? status.role : members.length > 0 ? "node" : null,
      held: members,
      state: worst?.state ?? null,
      transport: connection?.transport ?? null,
      address: connection?.address ?? members[0]?.addresses[0] ?? null,
      roundTripMs: connection?.roundTripMs ?? null,
      active: sum((m) => m.sessions.active),
      max: sum((m) => m.sessions.max),
      msPerToken: times.length === 0 ? null : times.reduce((a, b) => a + b, 0),
      memoryBytes: isSelf
        ? status.process.memoryBytes
        : sum((m) => m.memoryBytes),
      engine: members.find(({ engine }) => engine !== null)?.engine ?? null,
      version: isSelf ? status.version : (members[0]?.version ?? null),
      sinceMs: isSelf
        ? status.startedMs
        : (members[0]?.sinceMs ?? connection?.sinceMs ?? null),
    };
  });
}
