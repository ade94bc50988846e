/**
 * Who is in a cluster and what they hold. Members sign announcements of themselves; a rendezvous keeps them and pushes changes;
 * everybody computes the same view from them, by a pure function: which shards there are, whether prompts can run, what is missing.
 *
 *     const membership = new Membership({ host, commands, events, cluster: "friends" });
 *     membership.start();
 *     await membership.join(rendezvousPeer);
 *     await membership.hold(() => ({ manifest, layerStart: 0, layerEnd: 8, state: "ready", … })); // again at each change
 *     membership.onChange((view) => console.log(view?.ready, view?.missing));
 */
export {
  type Adoption,
  adoptions,
  type CoverageHistory,
  NO_HISTORY,
  observeCoverage,
  shouldGiveBack,
} from "./adoption.ts";
export {
  type Announcement,
  ANNOUNCEMENT,
  type Capacity,
  type NodeState,
  PROTOCOL,
  type Sealed,
} from "./announcement.ts";
export {
  CLUSTER_RECORD_DEFAULTS,
  type ClusterRecord,
  sealClusterRecord,
  unsealClusterRecord,
} from "./cluster-record.ts";
export {
  clusterKey,
  clusterRecordKinds,
  encodeAnnouncements,
  encodeClusterRecord,
  nodeKey,
} from "./dht-kinds.ts";
export { clusterStatus } from "./cluster-status.ts";
export { Membership, type MembershipOptions } from "./membership.ts";
export type { OwnState } from "./own-shards.ts";
export {
  type LoadShardRequest,
  type NodeCommandsOptions,
  serveNodeCommands,
} from "./node-commands.ts";
export {
  GET_CAPABILITIES,
  GET_CLUSTER,
  GET_NODE_STATUS,
  LOAD_SHARD,
  SWARM_STATUS,
} from "./protocol.ts";
export { coverageOf, type Swarm } from "./coverage.ts";
export {
  askManifest,
  fetchParts,
  MANIFEST_FILE,
  METADATA_FILE,
  type ModelParts,
  servePartsOf,
} from "./model-parts.ts";
export { type Placement, placeShard, shouldYield } from "./placement.ts";
export { RendezvousService } from "./rendezvous-service.ts";
export {
  needsOf,
  type PlanShard,
  planShards,
  type SessionRoom,
  type ShardNeeds,
  usableBytes,
} from "./shard-needs.ts";
export {
  ClusterStatus,
  ConnectionStatus,
  DhtStatus,
  MemberStatus,
  NodeStatus,
  OwnShardStatus,
  SessionStatus,
  ShardStatus,
  STATUS_LIMITS,
  TorrentStatus,
} from "./status.ts";
export { type ClusterView, clusterView, type ShardView } from "./view.ts";
