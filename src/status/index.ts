/**
 * What a process reports about itself: one schema for the command GET_NODE_STATUS, `/api/v1/status`, the page, `shoal status` and the
 * report in the log. Plain data; unknown is null.
 *
 *     const status = nodeStatusSchema.parse(await response.json());
 *     console.log(status.clusters[0]?.ready, status.clusters[0]?.missing);
 */
export { givenUpFileSchema, givenUpPath } from "./given-up.ts";
export { fitsReply, nodeStatusThatFits } from "./status-size.ts";
export {
  clusterStatusSchema,
  nodeStatusSchema,
  sessionStatusSchema,
  STATUS_LIMITS,
} from "./schema.ts";
export {
  type ClusterStatus,
  type ConnectionStatus,
  type DhtStatus,
  type GivenUpStatus,
  type MemberStatus,
  NODE_STATES,
  type NodeState,
  type CutStatus,
  type NodeStatus,
  type PlanMachineStatus,
  type PlanStatus,
  type OwnShardStatus,
  type SessionStatus,
  type ShardStatus,
  type TorrentStatus,
} from "./types.ts";
