/** `shoal status --routes`: the route that a prompt would take now, what it should cost a token, and what recent sessions saw. Pure. */
import {
  planRoute,
  type PredictedStage,
  type RoutePlan,
} from "../routing/index.ts";
import type {
  ClusterStatus,
  MemberStatus,
  NodeStatus,
  SessionStatus,
} from "../status/index.ts";
import { shown, type ReportOptions } from "./report-lines.ts";

/** A cluster's cheapest route. */
export interface ClusterRoute {
  cluster: string;
  /** Null if there is none. */
  predictedMsPerToken: number | null;
  stages: (PredictedStage &
    Pick<MemberStatus, "peer" | "layerStart" | "layerEnd">)[];
}

/** Sessions that are listed: the newest. */
const SESSIONS_SHOWN = 8;

/** As this member's announcements tell it; a gateway also avoids nodes that it lost a minute ago, and those whose context is too short. */
export function clusterRoute(cluster: ClusterStatus): ClusterRoute {
  const plan = planOf(cluster);
  const { stages = [], prediction } = plan ?? {};
  return {
    cluster: cluster.cluster,
    predictedMsPerToken: prediction ? round(prediction.msPerToken) : null,
    stages: stages.flatMap(({ peer, layerStart, layerEnd }, i) => {
      const part = prediction?.stages[i];
      return part === undefined
        ? []
        : [
            {
              peer,
              layerStart,
              layerEnd,
              ...part,
              computeMs: round(part.computeMs),
              queueMs: round(part.queueMs),
              wireMs: round(part.wireMs),
            },
          ];
    }),
  };
}

export function routeLines(
  routes: readonly ClusterRoute[],
  sessions: NodeStatus["sessions"],
  options: ReportOptions = {},
): string[] {
  const recent = (sessions?.recent ?? [])
    .filter(({ route }) => route.length > 0)
    .slice(0, SESSIONS_SHOWN);
  return shown(
    [
      ...routes.flatMap(linesOfRoute),
      ...(recent.length === 0 ? [] : ["Recent sessions, predicted and seen"]),
      ...recent.flatMap(linesOfSession),
    ],
    options,
  );
}

function planOf(cluster: ClusterStatus): RoutePlan<MemberStatus> | undefined {
  const { layerCount, manifest, members, ready } = cluster;
  if (layerCount === null || !ready) return undefined;
  const holders = members.filter(
    (member) => member.state === "ready" && member.manifest === manifest,
  );
  return planRoute(holders, layerCount);
}

function linesOfRoute(route: ClusterRoute): string[] {
  const { cluster, predictedMsPerToken, stages } = route;
  if (predictedMsPerToken === null)
    return [`Route of cluster ${cluster}: none, it is not ready`];
  const estimated = stages.some(
    (s) => !s.isComputeMeasured || !s.isWireMeasured,
  );
  return [
    `Route of cluster ${cluster}: ${ms(predictedMsPerToken)} a token predicted${estimated ? " (~ is estimated)" : ""}`,
    ...stages.map((s) => {
      const compute = `${about(s.isComputeMeasured)}${ms(s.computeMs)}`;
      const wire = `${about(s.isWireMeasured)}${ms(s.wireMs)}`;
      return `  ${nameOf(s)}: compute ${compute}, queue ${ms(s.queueMs)}, to the next ${wire}`;
    }),
  ];
}

function linesOfSession(session: SessionStatus): string[] {
  const { id, state, tokens, route } = session;
  return [
    `  ${id.slice(0, 8)} ${state}, ${tokens} tokens: ${both(session.predictedMsPerToken, session.msPerToken)} a token`,
    ...route.map((hop) => {
      const { predicted } = hop;
      const compute = both(predicted?.computeMs, hop.computeMs);
      const queue = both(predicted?.queueMs, hop.queueMs);
      const wire = both(predicted?.wireMs, hop.wireMs);
      const way =
        hop.direct === null || route.length === 1
          ? ""
          : hop.direct
            ? " (direct)"
            : " (through the nodes)";
      return `    ${nameOf(hop)}: compute ${compute}, queue ${queue}, to the next ${wire}${way}`;
    }),
  ];
}

function nameOf(stage: {
  peer: string;
  layerStart: number;
  layerEnd: number;
}): string {
  const { peer, layerStart, layerEnd } = stage;
  return `layers ${layerStart}-${layerEnd - 1} …${peer.slice(-8)}`;
}

function about(isMeasured: boolean): string {
  return isMeasured ? "" : "~";
}

/** "5.0 → 5.2 ms": predicted, then seen. */
function both(
  predicted: number | null | undefined,
  seen: number | null,
): string {
  const before = predicted?.toFixed(1) ?? "?";
  return `${before} → ${seen?.toFixed(1) ?? "?"} ms`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
