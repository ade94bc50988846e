/**
 * The roles a process can have, each composed of everything below it: rendezvous, shard node, gateway, and a whole swarm of them
 * as processes of this machine. A role starts or throws; what it had done by then is undone.
 *
 *     const role = await startNode(options, { events, paths, signal });
 *     console.log(role.info.peerId);
 *     await role.stop();
 */
export { READY_DEFAULTS, RECOVERY_DEFAULTS } from "../inference/index.ts";
export type { RoleMessage, RoleOrder } from "./child-role.ts";
export { type ClientRole, startClient } from "./client.ts";
export { startGateway } from "./gateway.ts";
export { getFile, type GetFileOptions } from "./get-file.ts";
export {
  type InvitationReach,
  type InviteOptions,
  type MadeInvitation,
  makeInvitation,
} from "./invite.ts";
export { listParts } from "./list-parts.ts";
export {
  type LocalSwarm,
  type LocalSwarmProgress,
  startLocalSwarm,
} from "./local-swarm.ts";
export { agreeToMove } from "./move-consent.ts";
export {
  MOVE_POLICIES,
  type MovePolicy,
  type Standby,
  STANDBY_POLICIES,
} from "./node-options.ts";
export { startRendezvous } from "./rendezvous.ts";
export type { Role, RoleContext, RoleInfo } from "./role.ts";
export { startSeeder } from "./seeder.ts";
export { startNode } from "./shard-node.ts";
