import type { ReactNode } from "react";
import { clock, count, ms } from "../format.ts";
import { Empty, Facts, Panel, State } from "../parts/small.tsx";
import { type Column, Table } from "../parts/table.tsx";
import type { NodeStatus } from "../types.ts";

type Lookup = NodeStatus["dht"]["lookups"][number];

const COLUMNS: readonly Column<Lookup>[] = [
  {
    name: "Time",
    by: ({ timeMs }) => -timeMs,
    cell: ({ timeMs }) => clock(timeMs),
  },
  {
    name: "Looked for",
    by: ({ what }) => what,
    wrap: true,
    cell: ({ what }) => what,
  },
  { name: "Outcome", wrap: true, cell: ({ outcome }) => outcome },
  {
    name: "Asked",
    num: true,
    by: ({ asked }) => asked,
    cell: ({ asked }) => count(asked),
  },
  {
    name: "Found",
    num: true,
    by: ({ found }) => found,
    cell: ({ found }) => count(found),
  },
  {
    name: "Took",
    num: true,
    by: ({ tookMs }) => tookMs,
    cell: ({ tookMs }) => ms(tookMs),
  },
];

export function DhtView({ status }: { status: NodeStatus }): ReactNode {
  const { peers, records, provided, selfTest, lookups } = status.dht;
  return (
    <>
      <Panel title="DHT">
        <Facts
          of={[
            ["Peers in the routing table", count(peers)],
            ["Records kept for others", count(records)],
            ["Contents provided", count(provided)],
            [
              "Self-test",
              selfTest === null ? null : (
                <State
                  key="t"
                  word={selfTest}
                  tone={selfTest === "passed" ? "good" : "bad"}
                />
              ),
            ],
          ]}
        />
      </Panel>
      <Panel title="Recent lookups">
        {lookups.length === 0 ? (
          <Empty>None was made yet.</Empty>
        ) : (
          <Table
            label="Recent lookups"
            columns={COLUMNS}
            rows={lookups}
            first="Time"
            keyOf={({ timeMs, what }) => `${timeMs} ${what}`}
            signature={({ outcome }) => outcome}
          />
        )}
      </Panel>
    </>
  );
}
