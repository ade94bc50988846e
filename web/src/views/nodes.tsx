import { type ReactNode, useMemo } from "react";
import {
  address as hostAndPort,
  bytes,
  count,
  DASH,
  layers,
  ms,
  percent,
  seconds,
} from "../format.ts";
import { type NodeRow, nodeRows } from "../nodes.ts";
import { Bar, Panel, Peer, State } from "../parts/small.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { hrefOf } from "../route.ts";
import type { ClusterStatus, NodeStatus } from "../types.ts";
import { NODE_TONES, ROLE_WORDS } from "../words.ts";

type Shown = NodeRow & { ageSeconds: number | null };

const COLUMNS: readonly Column<Shown>[] = [
  {
    name: "Peer",
    by: ({ peer }) => peer.slice(-8),
    cell: ({ peer, isSelf }) => (
      <span>
        <Peer peer={peer} />
        {isSelf && <span className="soft"> this one</span>}
      </span>
    ),
  },
  {
    name: "Role",
    by: ({ role }) => role,
    cell: ({ role }) =>
      role === null ? DASH : ROLE_WORDS[role as NodeStatus["role"]],
  },
  {
    name: "Shard",
    num: true,
    by: ({ held }) => held[0]?.shard ?? null,
    cell: ({ held }) =>
      held.length === 0 ? DASH : held.map(({ shard }) => shard).join(", "),
  },
  {
    name: "Layers",
    num: true,
    cell: ({ held }) =>
      held.length === 0 ? DASH : held.map((m) => layers(m)).join(", "),
  },
  {
    name: "State",
    by: ({ state }) => state,
    cell: ({ state, held }) => {
      if (state === null) return DASH;
      const progress = held.find((m) => m.progress !== null)?.progress;
      return (
        <>
          <State word={state} tone={NODE_TONES[state]} />
          {progress !== null && progress !== undefined && (
            <>
              {" "}
              {percent(progress.doneBytes, progress.sizeBytes)}
              <Bar
                done={progress.doneBytes}
                size={progress.sizeBytes}
                label="Progress of its shard"
              />
            </>
          )}
        </>
      );
    },
  },
  {
    name: "Transport",
    by: ({ transport }) => transport,
    cell: ({ transport }) => transport ?? DASH,
  },
  {
    name: "Address",
    cell: ({ address }) =>
      address === null ? (
        DASH
      ) : (
        <span className="mono">{hostAndPort(address)}</span>
      ),
  },
  {
    name: "Round trip",
    num: true,
    by: ({ roundTripMs }) => roundTripMs,
    cell: ({ roundTripMs }) => ms(roundTripMs),
  },
  {
    name: "Sessions",
    num: true,
    by: ({ active }) => active,
    cell: ({ active, max }) =>
      active === null ? DASH : `${count(active)}/${count(max)}`,
  },
  {
    name: "Per token",
    num: true,
    by: ({ msPerToken }) => msPerToken,
    cell: ({ msPerToken }) => ms(msPerToken),
  },
  {
    name: "Memory",
    num: true,
    by: ({ memoryBytes }) => memoryBytes,
    cell: ({ memoryBytes }) => bytes(memoryBytes),
  },
  {
    name: "Version",
    by: ({ version }) => version,
    cell: ({ version }) => version ?? DASH,
  },
  {
    name: "Known for",
    num: true,
    by: ({ ageSeconds }) => ageSeconds,
    cell: ({ ageSeconds }) => seconds(ageSeconds),
  },
];

export function NodesView(props: {
  status: NodeStatus;
  cluster: ClusterStatus | undefined;
  /** "shard-3", or nothing. */
  filter: string;
}): ReactNode {
  const { status, cluster, filter } = props;
  const shard = filter === "" ? undefined : Number(filter.slice(6));
  const rows = useMemo(() => {
    const all = nodeRows(status, cluster).filter(
      ({ held }) =>
        shard === undefined || held.some((member) => member.shard === shard),
    );
    return all.map((row) => ({
      ...row,
      ageSeconds:
        row.sinceMs === null
          ? null
          : coarse((status.nowMs - row.sinceMs) / 1000),
    }));
  }, [status, cluster, shard]);
  return (
    <Panel
      title="Nodes"
      note={
        shard === undefined
          ? `${count(rows.length)} known to this process`
          : `${count(rows.length)} holders of shard ${shard}`
      }
      end={shard !== undefined && <a href={hrefOf("nodes")}>show all nodes</a>}
    >
      {rows.length === 0 ? (
        <p className="empty">Nobody holds this shard.</p>
      ) : (
        <Table
          label="Nodes"
          columns={COLUMNS}
          rows={rows}
          first="Shard"
          keyOf={({ peer }) => peer}
          signature={signatureOf}
        />
      )}
    </Panel>
  );
}

/** As precise as shown, so that a row is redrawn only when the change is visible. */
function signatureOf(row: Shown): string {
  const progress = row.held.map((m) => [
    m.shard,
    m.layerStart,
    m.layerEnd,
    m.progress,
  ]);
  return [
    row.role,
    row.state,
    row.transport,
    row.address,
    ms(row.roundTripMs),
    row.active,
    row.max,
    ms(row.msPerToken),
    bytes(row.memoryBytes),
    row.version,
    seconds(row.ageSeconds),
    JSON.stringify(progress),
  ].join(" ");
}

/** Seconds are noise in a long table. */
function coarse(value: number): number {
  const step = value < 60 ? 10 : 1;
  return Math.max(0, Math.floor(value / step) * step);
}
