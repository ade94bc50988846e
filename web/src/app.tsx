/** The frame: what this process is, the navigation, connection problems, and one view. */
import { type ReactNode, useEffect, useState } from "react";
import { ChatView } from "./chat/chat.tsx";
import { seconds, shortPeer } from "./format.ts";
import { live } from "./live.ts";
import { gatewayUrl } from "./gateway.ts";
import { CopyReport } from "./parts/copy-report.tsx";
import { Panel } from "./parts/small.tsx";
import { ThemeChoice } from "./parts/theme-choice.tsx";
import { hrefOf, type Route, useRoute, VIEWS } from "./route.ts";
import type { ClusterStatus, NodeStatus } from "./types.ts";
import { DhtView } from "./views/dht.tsx";
import { EventsView } from "./views/events.tsx";
import { NetworkView } from "./views/network.tsx";
import { NodeView } from "./views/node.tsx";
import { NodesView } from "./views/nodes.tsx";
import { OverviewView } from "./views/overview.tsx";
import { SessionsView } from "./views/sessions.tsx";
import { TorrentsView } from "./views/torrents.tsx";
import { ROLE_WORDS } from "./words.ts";

export function App(): ReactNode {
  const { status, lostMs } = live.use();
  const route = useRoute();
  const [name, setName] = useState("");
  const clusters = status?.clusters ?? [];
  const cluster = clusters.find((c) => c.cluster === name) ?? clusters[0];
  const title = VIEWS.find(([view]) => view === route.view)?.[1] ?? "";
  const state =
    cluster === undefined ? "" : cluster.ready ? "ready" : "not ready";
  const parts = ["Shoal", cluster?.cluster, state, title];
  const classes = [
    lostMs === undefined ? "" : "stale",
    route.view === "chat" ? "fills" : "",
  ];
  return (
    <div className={classes.join(" ")}>
      <title>
        {parts.filter((p) => p !== undefined && p !== "").join(" · ")}
      </title>
      <a className="skip" href="#main">
        To the content
      </a>
      <header className="top">
        <div className="brand">
          <h1>Shoal</h1>
          {status !== undefined && (
            <span className="soft">
              {ROLE_WORDS[status.role]}{" "}
              <span className="mono">{shortPeer(status.peer)}</span>, up{" "}
              {seconds((status.nowMs - status.startedMs) / 1000)}
            </span>
          )}
        </div>
        <div className="tools">
          {clusters.length > 1 && (
            <label>
              Cluster{" "}
              <select
                value={cluster?.cluster}
                onChange={({ target }) => setName(target.value)}
              >
                {clusters.map((c) => (
                  <option key={c.cluster}>{c.cluster}</option>
                ))}
              </select>
            </label>
          )}
          <CopyReport />
          <ThemeChoice />
        </div>
      </header>
      <nav className="views" aria-label="Views">
        {VIEWS.map(([view, label]) => (
          <a
            key={view}
            href={hrefOf(view)}
            aria-current={view === route.view ? "page" : undefined}
          >
            {label}
          </a>
        ))}
      </nav>
      <Connection />
      <main id="main" tabIndex={-1}>
        {status === undefined ? (
          <p className="boot">Asking for the state of the swarm …</p>
        ) : (
          <View route={route} status={status} cluster={cluster} />
        )}
      </main>
    </div>
  );
}

function View(props: {
  route: Route;
  status: NodeStatus;
  cluster: ClusterStatus | undefined;
}): ReactNode {
  const { route, status, cluster } = props;
  const { view, rest } = route;
  switch (view) {
    case "chat":
      return status.api === null ? (
        <NoGateway />
      ) : (
        <ChatView api={gatewayUrl(status.api)} />
      );
    case "nodes":
      return rest === "" || rest.startsWith("shard-") ? (
        <NodesView status={status} cluster={cluster} filter={rest} />
      ) : (
        <NodeView key={rest} status={status} cluster={cluster} peer={rest} />
      );
    case "network":
      return <NetworkView status={status} cluster={cluster} />;
    case "torrents":
      return <TorrentsView status={status} />;
    case "sessions":
      return <SessionsView status={status} />;
    case "dht":
      return <DhtView status={status} />;
    case "events":
      return <EventsView />;
    default:
      return <OverviewView status={status} cluster={cluster} />;
  }
}

function NoGateway(): ReactNode {
  return (
    <Panel title="Chat">
      <p className="empty">
        No gateway is known here. Open the address of one (
        <code>shoal serve</code> prints it) to chat.
      </p>
    </Panel>
  );
}

/** Counts the seconds by itself, because nothing else would redraw it. */
function Connection(): ReactNode {
  const { lostMs, why } = live.use();
  const [nowMs, setNowMs] = useState(0);
  useEffect(() => {
    if (lostMs === undefined) return undefined;
    const tick = setInterval(() => setNowMs(performance.now()), 1_000);
    return () => clearInterval(tick);
  }, [lostMs]);
  return (
    <div role="status">
      {lostMs !== undefined && (
        <p className="lost">
          Connection lost{" "}
          {seconds(Math.max(0, Math.round((nowMs - lostMs) / 1000)))} ago: {why}
          . What is shown is old; trying again.
        </p>
      )}
    </div>
  );
}
