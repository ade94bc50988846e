/** One peer: its announcements, its connections, its events. */
import type { ReactNode } from "react";
import {
  bytes,
  clock,
  count,
  DASH,
  layers,
  ms,
  percent,
  seconds,
  shortPeer,
} from "../format.ts";
import { log } from "../live.ts";
import { nodeRows } from "../nodes.ts";
import { LogList } from "../parts/log-list.tsx";
import { Empty, Facts, Panel, State } from "../parts/small.tsx";
import { hrefOf } from "../route.ts";
import type { ClusterStatus, LogEntry, NodeStatus } from "../types.ts";
import { NODE_TONES, ROLE_WORDS } from "../words.ts";

export function NodeView(props: {
  status: NodeStatus;
  cluster: ClusterStatus | undefined;
  peer: string;
}): ReactNode {
  const { status, cluster, peer } = props;
  const entries = log.use();
  const row = nodeRows(status, cluster).find((r) => r.peer === peer);
  const isSelf = peer === status.peer;
  const about = isSelf ? entries : entries.filter((e) => isAbout(e, peer));
  const connections = status.connections.filter((c) => c.peer === peer);
  const ago = (timeMs: number): string =>
    `${seconds(Math.max(0, (status.nowMs - timeMs) / 1000))} ago`;
  return (
    <>
      <Panel
        title={`Node ${shortPeer(peer)}`}
        note={row === undefined ? "not known here any more" : undefined}
        end={<a href={hrefOf("nodes")}>all nodes</a>}
      >
        <Facts
          of={[
            [
              "Peer",
              <span className="mono" key="p">
                {peer}
              </span>,
              true,
            ],
            [
              "Role",
              row?.role == null
                ? DASH
                : ROLE_WORDS[row.role as NodeStatus["role"]],
            ],
            [
              "State",
              row?.state == null ? (
                DASH
              ) : (
                <State key="s" word={row.state} tone={NODE_TONES[row.state]} />
              ),
            ],
            [
              "Sessions",
              row?.active == null
                ? DASH
                : `${count(row.active)}/${count(row.max)}`,
            ],
            ["Per token", ms(row?.msPerToken)],
            ["Engine", row?.engine ?? DASH],
            ["Memory", bytes(row?.memoryBytes)],
            ["Version", row?.version ?? DASH],
            ["Known since", row?.sinceMs == null ? DASH : clock(row.sinceMs)],
            ["Round trip", ms(row?.roundTripMs)],
          ]}
        />
      </Panel>
      {isSelf && status.shards.length > 0 && (
        <Panel title="Its shards">
          {status.shards.map((shard) => (
            <Facts
              key={`${shard.index}-${shard.layerStart}`}
              of={[
                ["Shard", `${shard.index} of ${shard.count}`],
                ["Layers", layers(shard)],
                ["Model", shard.model],
                [
                  "State",
                  <State
                    key="s"
                    word={shard.state}
                    tone={NODE_TONES[shard.state]}
                  />,
                ],
                [
                  "Fetched",
                  shard.progress === null
                    ? DASH
                    : percent(
                        shard.progress.doneBytes,
                        shard.progress.sizeBytes,
                      ),
                ],
                ["Size", bytes(shard.sizeBytes)],
                ["Engine", shard.engine ?? DASH],
                ["Memory of its engine", bytes(shard.memoryBytes)],
                [
                  "Context",
                  shard.contextLength === null
                    ? DASH
                    : `${count(shard.contextLength)} tokens`,
                ],
                ["Per token", ms(shard.msPerToken)],
                ["Sessions", `${shard.sessions.active}/${shard.sessions.max}`],
              ]}
            />
          ))}
        </Panel>
      )}
      {row !== undefined && row.held.length > 0 && (
        <Panel title="What it announces">
          {row.held.map((member) => (
            <Facts
              key={`${member.shard}-${member.layerStart}`}
              of={[
                ["Shard", count(member.shard)],
                ["Layers", layers(member)],
                [
                  "State",
                  <State
                    key="s"
                    word={member.state}
                    tone={NODE_TONES[member.state]}
                  />,
                ],
                [
                  "Fetched",
                  member.progress === null
                    ? DASH
                    : `${percent(member.progress.doneBytes, member.progress.sizeBytes)} of ${bytes(member.progress.sizeBytes)}`,
                ],
                ["Heard of", ago(member.heardMs)],
                [
                  "Connected to",
                  member.links.length === 0
                    ? DASH
                    : member.links.map((l) => `…${l}`).join(" "),
                  true,
                ],
                [
                  "Addresses",
                  <Addresses key="a" of={member.addresses} />,
                  true,
                ],
              ]}
            />
          ))}
        </Panel>
      )}
      <Panel
        title="Connections"
        note={isSelf ? "of this process" : "from here"}
      >
        {isSelf ? (
          <Facts
            of={[
              ["Open", count(status.connections.length)],
              ["Listens on", <Addresses key="a" of={status.addresses} />, true],
            ]}
          />
        ) : connections.length === 0 ? (
          <Empty>This process has no connection to it.</Empty>
        ) : (
          connections.map((connection) => (
            <Facts
              key={connection.address}
              of={[
                ["Transport", connection.transport],
                ["Round trip", ms(connection.roundTripMs)],
                [
                  "Opened",
                  `${connection.direction}, ${ago(connection.sinceMs)}`,
                ],
                [
                  "Address",
                  <span className="mono" key="a">
                    {connection.address}
                  </span>,
                  true,
                ],
              ]}
            />
          ))
        )}
      </Panel>
      <Panel
        title="Event log"
        note={isSelf ? "of this process" : "what this process saw of it"}
      >
        {about.length === 0 ? (
          <Empty>Nothing in the last {count(entries.length)} events.</Empty>
        ) : (
          <LogList entries={about.slice(-200).toReversed()} />
        )}
      </Panel>
    </>
  );
}

function Addresses({ of }: { of: readonly string[] }): ReactNode {
  if (of.length === 0) return DASH;
  return (
    <ul className="mono">
      {of.map((address) => (
        <li key={address}>{address}</li>
      ))}
    </ul>
  );
}

function isAbout(entry: LogEntry, peer: string): boolean {
  if (entry.kind !== "event") return false;
  return (
    entry.fields.peer === peer ||
    entry.message.includes(peer) ||
    Object.values(entry.fields).some(
      (value) => typeof value === "string" && value.includes(peer),
    )
  );
}
