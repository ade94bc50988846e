import type { ReactNode } from "react";
import { clock, count, layers, ms, perSecond, seconds } from "../format.ts";
import { Empty, Facts, Panel, Peer, State } from "../parts/small.tsx";
import type { NodeStatus, SessionStatus } from "../types.ts";
import { SESSION_TONES } from "../words.ts";

export function SessionsView({ status }: { status: NodeStatus }): ReactNode {
  const { sessions, role } = status;
  if (sessions === null)
    return (
      <Panel title="Sessions">
        <Empty>
          A {role} runs no sessions. The page of a gateway shows its requests.
        </Empty>
      </Panel>
    );
  return (
    <>
      <Panel title="Sessions">
        <Facts
          of={[
            ["Running", `${count(sessions.active)} of ${count(sessions.max)}`],
            ["Since the start", count(sessions.total)],
            ["Failed", count(sessions.failed)],
            ["Tokens", count(sessions.tokens)],
          ]}
        />
      </Panel>
      <Panel
        title="Requests"
        note="no text is kept; times are medians over the last tokens, in brackets as predicted when the route was chosen"
      >
        {role === "node" ? (
          <Empty>
            A node sees parts of requests: a gateway shows the whole.
          </Empty>
        ) : sessions.recent.length === 0 ? (
          <Empty>None yet.</Empty>
        ) : (
          <ol>
            {sessions.recent.map((session) => (
              <Session
                key={session.id}
                session={session}
                nowMs={status.nowMs}
              />
            ))}
          </ol>
        )}
      </Panel>
    </>
  );
}

function Session(props: { session: SessionStatus; nowMs: number }): ReactNode {
  const { session, nowMs } = props;
  const { state, waitingFor, error, startedMs, endedMs, route } = session;
  return (
    <li className="session" data-session={state}>
      <p className="line">
        <State
          word={state === "failed" ? (error ?? state) : state}
          tone={SESSION_TONES[state]}
        />
        {waitingFor !== null && <span>for {waitingFor}</span>}
        <span>
          {clock(startedMs)}, {seconds(((endedMs ?? nowMs) - startedMs) / 1000)}
        </span>
        <span>
          {count(session.promptTokens)} + {count(session.tokens)} tokens
        </span>
        <span>{perSecond(session.tokensPerSecond, "tokens")}</span>
        <span>first after {ms(session.timeToFirstTokenMs)}</span>
        <span>
          {ms(session.msPerToken)} a token, predicted{" "}
          {ms(session.predictedMsPerToken)}
        </span>
        <span>wire and software {ms(session.restMs)}</span>
        <code className="soft">{session.id.slice(0, 8)}</code>
      </p>
      {route.length === 0 ? (
        <Empty>No route yet.</Empty>
      ) : (
        <div className="hops" role="table" aria-label="Route">
          <div className="hop hop-head" role="row">
            <span role="columnheader">Stage</span>
            <span role="columnheader">Compute</span>
            <span role="columnheader">Queue</span>
            <span role="columnheader">To the next</span>
          </div>
          {route.map((hop) => (
            <div className="hop" role="row" key={hop.layerStart}>
              <span role="cell">
                {layers(hop)} <Peer peer={hop.peer} />
              </span>
              <span role="cell">
                {seenAndPredicted(hop.computeMs, hop.predicted?.computeMs)}
              </span>
              <span role="cell">
                {seenAndPredicted(hop.queueMs, hop.predicted?.queueMs)}
              </span>
              <span role="cell">
                {seenAndPredicted(hop.wireMs, hop.predicted?.wireMs)}
                {hop.direct === false && route.length > 1 ? " relayed" : ""}
              </span>
            </div>
          ))}
        </div>
      )}
    </li>
  );
}

/** "5.1 ms (4.8)" */
function seenAndPredicted(
  seen: number | null,
  predicted: number | undefined,
): string {
  return predicted === undefined
    ? ms(seen)
    : `${ms(seen)} (${ms(predicted).replace(/ ms$/, "")})`;
}
