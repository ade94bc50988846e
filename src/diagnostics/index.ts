/**
 * A role's state over HTTP, read only: the page, `GET /api/v1/status` (NodeStatus; its JSON Schema at /api/v1/schema), `/api/v1/events`
 * (server-sent events, resumable), `/api/v1/history` (the last hour for charts), `/metrics` (Prometheus), `/health` and `/ready`. It
 * computes nothing itself: a role gives it a function that returns its current state, which is called at most once a second however many
 * clients ask.
 *
 *     const diagnostics = createDiagnostics({ host: "127.0.0.1", port: undefined, events });
 *     const host = await createHost({ …, metrics: diagnostics.libp2pMetrics });
 *     const { url } = await diagnostics.start(() => ({ v: 1, role: "node", … }));
 */
export { askMembers, nodeStatusOf } from "./ask-members.ts";
export { askPlan } from "./ask-plan.ts";
export { type AskedStatus, askUrl } from "./ask-url.ts";
export { DIAGNOSTICS_DEFAULTS } from "./defaults.ts";
export type { Vitals } from "./history.ts";
export {
  clusterReportLines,
  reportLines,
  type ReportOptions,
} from "./report-lines.ts";
export { planLines } from "./plan-lines.ts";
export { type ClusterRoute, clusterRoute, routeLines } from "./route-lines.ts";
export { startReports } from "./report.ts";
export { createDiagnostics, type Diagnostics } from "./server.ts";
