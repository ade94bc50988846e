/** Who is connected to whom: this process's own connections, and those that members report. */
import { memo, type ReactNode, useMemo } from "react";
import {
  address as hostAndPort,
  count,
  DASH,
  ms,
  seconds,
  shortPeer,
} from "../format.ts";
import { type Drawing, drawingOf, HEIGHT, type Spot, WIDTH } from "../graph.ts";
import { Empty, Panel, Peer, State } from "../parts/small.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { hrefOf } from "../route.ts";
import type { ClusterStatus, NodeStatus } from "../types.ts";
import { NODE_TONES } from "../words.ts";

/** More peers than this get no names in the drawing. */
const NAMED = 40;

export function NetworkView(props: {
  status: NodeStatus;
  cluster: ClusterStatus | undefined;
}): ReactNode {
  const { status, cluster } = props;
  const drawing = useMemo(() => drawingOf(status, cluster), [status, cluster]);
  const { edges, spots } = drawing;
  return (
    <>
      <Panel
        title="Network"
        note={`${count(spots.length)} peers, ${count(edges)} connections known here`}
      >
        <Graph drawing={drawing} signature={signatureOf(drawing)} />
        <p className="legend soft">
          <State word="ready" tone="good" />
          <State word="downloading" tone="busy" />
          <State word="joining, loading, draining" tone="warn" />
          <State word="holds no shard" tone="none" />
          <span>
            In the middle: this process. Outside: a ray for each shard.
          </span>
        </p>
      </Panel>
      <Panel title="Connections of this process">
        <ConnectionTable status={status} />
      </Panel>
    </>
  );
}

const Graph = memo(
  function Graph({
    drawing,
  }: {
    drawing: Drawing;
    signature: string;
  }): ReactNode {
    const { spots, others, own, relayed, labels } = drawing;
    return (
      <svg
        className="graph"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="group"
        aria-label="Drawing of the network; the table below says the same"
      >
        <path className="edge" d={others} />
        <path className="edge own" d={own} />
        <path className="edge own relayed" d={relayed} />
        {(spots.length <= NAMED ? [] : labels).map(({ text, x, y }) => (
          <text key={text} x={x} y={y}>
            shard {text}
          </text>
        ))}
        {spots.map((spot) => (
          <Dot key={spot.row.peer} spot={spot} named={spots.length <= NAMED} />
        ))}
      </svg>
    );
  },
  (old, next) => old.signature === next.signature,
);

function Dot({ spot, named }: { spot: Spot; named: boolean }): ReactNode {
  const { row, x, y } = spot;
  const tone = row.state === null ? "none" : NODE_TONES[row.state];
  const shards = row.held.map(({ shard }) => shard).join(", ");
  const name = row.isSelf
    ? "this process"
    : `${shards === "" ? "" : `shard ${shards} `}${shortPeer(row.peer)}`;
  const label = `${name}: ${row.state ?? "holds no shard"}`;
  const size = row.isSelf ? 11 : named ? 8 : 6;
  return (
    <a
      className={`tone-${tone}`}
      href={hrefOf("nodes", row.peer)}
      aria-label={label}
    >
      <title>{label}</title>
      <circle cx={x} cy={y} r={size} />
      {(named || row.isSelf) && (
        <text x={x} y={y < HEIGHT / 2 ? y - size - 6 : y + size + 14}>
          {name}
        </text>
      )}
    </a>
  );
}

function signatureOf({ spots, others, own, relayed }: Drawing): string {
  const dots = spots.map(
    ({ row, x, y }) => `${row.peer} ${row.state} ${x} ${y}`,
  );
  return [...dots, others, own, relayed].join("\n");
}

type Connection = NodeStatus["connections"][number] & { age: number };

const COLUMNS: readonly Column<Connection>[] = [
  {
    name: "Peer",
    by: ({ peer }) => peer.slice(-8),
    cell: ({ peer }) => <Peer peer={peer} />,
  },
  {
    name: "Transport",
    by: ({ transport }) => transport,
    cell: ({ transport }) => transport,
  },
  {
    name: "Way",
    by: ({ way }) => way,
    cell: ({ way, relay }) =>
      relay === null ? (
        (way ?? DASH)
      ) : (
        <>
          relayed through <Peer peer={relay} />
        </>
      ),
  },
  {
    name: "Direction",
    by: ({ direction }) => direction,
    cell: ({ direction }) => direction,
  },
  {
    name: "Address",
    cell: ({ address }) => (
      <span className="mono">{hostAndPort(address) || DASH}</span>
    ),
  },
  {
    name: "Round trip",
    num: true,
    by: ({ roundTripMs }) => roundTripMs,
    cell: ({ roundTripMs }) => ms(roundTripMs),
  },
  {
    name: "Open for",
    num: true,
    by: ({ age }) => age,
    cell: ({ age }) => seconds(age),
  },
];

function ConnectionTable({ status }: { status: NodeStatus }): ReactNode {
  const { connections, nowMs } = status;
  if (connections.length === 0) return <Empty>None is open.</Empty>;
  const rows = connections.map((connection) => ({
    ...connection,
    age: Math.max(0, Math.floor((nowMs - connection.sinceMs) / 10_000) * 10),
  }));
  return (
    <Table
      label="Connections"
      columns={COLUMNS}
      rows={rows}
      first="Peer"
      keyOf={({ peer, address, sinceMs }) => `${peer} ${address} ${sinceMs}`}
      signature={({ transport, way, relay, roundTripMs, age }) =>
        `${transport} ${way} ${relay} ${ms(roundTripMs)} ${seconds(age)}`
      }
    />
  );
}
