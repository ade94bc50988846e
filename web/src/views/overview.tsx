import type { ReactNode } from "react";
import { bytes, count } from "../format.ts";
import { Charts } from "../parts/charts.tsx";
import { Facts, Panel } from "../parts/small.tsx";
import { Strip } from "../parts/strip.tsx";
import { RecentEvents } from "./events.tsx";
import type { ClusterStatus, NodeStatus } from "../types.ts";

export function OverviewView(props: {
  status: NodeStatus;
  cluster: ClusterStatus | undefined;
}): ReactNode {
  const { status, cluster } = props;
  return (
    <>
      <Pipeline status={status} cluster={cluster} />
      <Panel title="This process">
        <ProcessFacts status={status} />
      </Panel>
      <Charts />
      <RecentEvents />
    </>
  );
}

function Pipeline(props: {
  status: NodeStatus;
  cluster: ClusterStatus | undefined;
}): ReactNode {
  const { status, cluster } = props;
  if (cluster === undefined)
    return (
      <Panel title="Pipeline">
        <p className="verdict tone-bad" id="verdict">
          <strong>Not ready</strong>
          {status.reason ?? "no cluster is known here"}
        </p>
      </Panel>
    );
  const { ready, reason, model, layerCount, shardCount, members } = cluster;
  const { mixed, clocks } = cluster;
  return (
    <Panel title="Pipeline" note={`cluster ${cluster.cluster}`}>
      <p className={`verdict tone-${ready ? "good" : "bad"}`} id="verdict">
        <strong>{ready ? "Ready" : "Not ready"}</strong>
        <span>{ready ? "every layer has a ready holder" : reason}</span>
        <span className="soft">
          {model ?? "no model"}: {count(layerCount)} layers in{" "}
          {count(shardCount)} shards, {count(members.length)} members
        </span>
      </p>
      {mixed !== null && <p className="soft">{mixed}</p>}
      {clocks !== null && <p className="soft">{clocks}</p>}
      <Strip cluster={cluster} />
    </Panel>
  );
}

function ProcessFacts({ status }: { status: NodeStatus }): ReactNode {
  const { sessions, process, connections, dht, version, reason } = status;
  const all = (status.sessions?.max ?? 0) > 0;
  return (
    <Facts
      of={[
        [
          "State",
          status.ready ? "ready" : (reason ?? "not ready"),
          !status.ready,
        ],
        ["Version", version],
        ["Connections", count(connections.length)],
        ["Peers in the DHT", count(dht.peers)],
        ["Memory", bytes(process.memoryBytes)],
        ["CPU since the start", `${count(process.cpuSeconds)} s`],
        [
          "Sessions",
          sessions === null
            ? null
            : `${count(sessions.active)}${all ? ` of ${count(sessions.max)}` : ""}, ${count(sessions.total)} since the start`,
        ],
        ["Tokens", count(sessions?.tokens)],
      ]}
    />
  );
}
