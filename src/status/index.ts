/**
 * What a process tells about itself: one schema for the command GET_NODE_STATUS, `/api/v1/status`, the page, `shoal status` and the report in
 * the log. Plain data; unknown is null.
 *
 *     const status = NodeStatus.parse(await response.json());
 *     console.log(status.clusters[0]?.ready, status.clusters[0]?.missing);
 */
export { fitsReply, nodeStatusThatFits } from "./status-size.ts";
export {
  ClusterStatus,
  MemberStatus,
  NODE_STATES,
  type NodeState,
  NodeStatus,
  OwnShardStatus,
  SessionStatus,
  STATUS_LIMITS,
  TorrentStatus,
} from "./status.ts";
