import type { ReactNode } from "react";
import { bytes, count, DASH, percent, rate } from "../format.ts";
import { Bar, Empty, Facts, Panel, State } from "../parts/small.tsx";
import { type Column, Table } from "../parts/table.tsx";
import type { NodeStatus } from "../types.ts";

type Torrents = NonNullable<NodeStatus["torrents"]>;
type Content = Torrents["contents"][number];
type Transfer = Torrents["transfers"][number];

const CONTENTS: readonly Column<Content>[] = [
  {
    name: "Name",
    by: ({ name }) => name,
    wrap: true,
    cell: ({ name, primary }) => (
      <>
        {name}
        {primary && <span className="soft"> own shard</span>}
      </>
    ),
  },
  { name: "Kind", by: ({ kind }) => kind, cell: ({ kind }) => kind },
  {
    name: "Size",
    num: true,
    by: ({ sizeBytes }) => sizeBytes,
    cell: ({ sizeBytes }) => bytes(sizeBytes),
  },
  {
    name: "Root",
    cell: ({ root }) => (
      <code title={root}>
        {root.slice(0, 8)}…{root.slice(-4)}
      </code>
    ),
  },
  {
    name: "Here",
    num: true,
    by: ({ have }) => have,
    cell: ({ have }) => (have === null ? DASH : percent(have, 1)),
  },
  {
    name: "Copies / target",
    num: true,
    by: ({ holders }) => holders,
    cell: ({ holders, target }) => (
      <>
        {count(holders)} / {count(target)}{" "}
        {holders !== null && target !== null && holders < target && (
          <State word="too few" tone="warn" />
        )}
      </>
    ),
  },
];

const TRANSFERS: readonly Column<Transfer>[] = [
  {
    name: "Content",
    by: ({ name }) => name,
    wrap: true,
    cell: ({ name }) => name,
  },
  {
    name: "Direction",
    by: ({ direction }) => direction,
    cell: ({ direction }) => direction,
  },
  {
    name: "Done",
    cell: ({ doneBytes, sizeBytes, name }) => (
      <>
        {percent(doneBytes, sizeBytes)} of {bytes(sizeBytes)}
        <Bar done={doneBytes} size={sizeBytes} label={name} />
      </>
    ),
  },
  {
    name: "Speed",
    num: true,
    by: (t) => t.bytesPerSecond,
    cell: (t) => rate(t.bytesPerSecond),
  },
  {
    name: "Peers",
    num: true,
    by: ({ peers }) => peers,
    cell: ({ peers }) => count(peers),
  },
];

export function TorrentsView({ status }: { status: NodeStatus }): ReactNode {
  const { torrents } = status;
  if (torrents === null)
    return (
      <Panel title="Torrents">
        <Empty>A {status.role} holds no contents.</Empty>
      </Panel>
    );
  const { contents, transfers, contentCount } = torrents;
  return (
    <>
      <Panel title="Torrents">
        <Facts
          of={[
            ["Contents", count(contentCount)],
            [
              "Sent",
              `${bytes(torrents.uploadedBytes)}, ${rate(torrents.uploadBytesPerSecond)} now`,
            ],
            [
              "Received",
              `${bytes(torrents.downloadedBytes)}, ${rate(torrents.downloadBytesPerSecond)} now`,
            ],
            ["Peers served", count(torrents.uploadPeers)],
          ]}
        />
      </Panel>
      <Panel title="Running transfers">
        {transfers.length === 0 ? (
          <Empty>None runs.</Empty>
        ) : (
          <Table
            label="Running transfers"
            columns={TRANSFERS}
            rows={transfers}
            first="Content"
            keyOf={({ root, direction }) => `${root} ${direction}`}
            signature={(t) =>
              `${t.doneBytes} ${rate(t.bytesPerSecond)} ${t.peers}`
            }
          />
        )}
      </Panel>
      <Panel
        title="Contents"
        note={
          contentCount > contents.length
            ? `${count(contents.length)} of ${count(contentCount)}`
            : undefined
        }
      >
        {contents.length === 0 ? (
          <Empty>Nothing is listed or served here.</Empty>
        ) : (
          <Table
            label="Contents"
            columns={CONTENTS}
            rows={contents}
            first="Name"
            keyOf={({ root, name, kind }) => `${root} ${name} ${kind}`}
            signature={(c) => `${c.have} ${c.holders} ${c.target} ${c.primary}`}
          />
        )}
      </Panel>
    </>
  );
}
