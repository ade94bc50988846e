/**
 * The roles a process can have, each composed of everything below it: rendezvous, shard node, gateway, and a whole swarm of them
 * as processes of this machine. A role starts or throws; what it had done by then is undone.
 *
 *     const role = await startNode(options, { events, paths, signal });
 *     console.log(role.info.peerId);
 *     await role.stop();
 */
export { askMembers, type AskedStatus, askUrl } from "./ask-status.ts";
export type { RoleMessage } from "./child-role.ts";
export { type DoctorOptions, type DoctorReport, runDoctor } from "./doctor.ts";
export { type GatewayRoleOptions, startGateway } from "./gateway.ts";
export { getFile, type GetFileOptions } from "./get-file.ts";
export {
  listParts,
  type ListPartsOptions,
  type ListPartsResult,
  type PartCopies,
} from "./list-parts.ts";
export {
  type LocalSwarm,
  type LocalSwarmOptions,
  type LocalSwarmProgress,
  startLocalSwarm,
} from "./local-swarm.ts";
export { startRendezvous, type RendezvousOptions } from "./rendezvous.ts";
export {
  clusterReportLines,
  reportLines,
  type ReportOptions,
} from "./report-lines.ts";
export { type Role, type RoleContext, type RoleInfo } from "./role.ts";
export { type SeederOptions, startSeeder } from "./seeder.ts";
export { type NodeOptions, startNode } from "./shard-node.ts";
export type { TransferFlags } from "./torrents.ts";
export { VERSION } from "./version.ts";
