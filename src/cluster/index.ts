/**
 * Who is in a cluster and what they hold. Members sign announcements of themselves. A rendezvous keeps them and pushes changes. Everybody
 * computes the same view from them with a pure function: which shards exist, whether prompts can run, what is missing.
 *
 *     const membership = new Membership({ host, commands, events, cluster: "friends" });
 *     membership.start();
 *     await membership.join(rendezvousPeer);
 *     await membership.hold(() => ({ manifest, layerStart: 0, layerEnd: 8, state: "ready", … })); // again at each change
 *     membership.onChange((view) => console.log(view?.ready, view?.missing));
 */
export {
  Announcement,
  ANNOUNCEMENT,
  ON_DISK_RANGES,
  PROTOCOL,
  Sealed,
  ToldCut,
} from "./announcement.ts";
export { askPage } from "./cluster-pages.ts";
export { CLOCKS, isOff, side } from "./clocks.ts";
export {
  CLUSTER_RECORD_DEFAULTS,
  ClusterRecord,
  refuseOtherMode,
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
export { Membership } from "./membership.ts";
export type { MembershipOptions } from "./membership-options.ts";
export { engineKind } from "./mixed-engines.ts";
export { type LoadShardRequest, serveNodeCommands } from "./node-commands.ts";
export type { OwnState } from "./own-shards.ts";
export {
  GET_CAPABILITIES,
  GET_CLUSTER,
  GET_NODE_STATUS,
  GET_PART,
  LIST_CLUSTERS,
  LOAD_SHARD,
  SWARM_STATUS,
} from "./protocol.ts";
export { Presence } from "./presence.ts";
export { RendezvousService } from "./rendezvous-service.ts";
export type { ClusterView } from "./view.ts";
