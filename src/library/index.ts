/**
 * Shoal as a library: what `shoal` does, as functions with plain options. A thin face: it checks options, fills in defaults and hands
 * over to the rooms below. No type of a dependency appears in it. docs/LIBRARY.md is its page.
 *
 *     await using rendezvous = await startRendezvous({ port: 0 });
 *     await using node = await startNode({ bootstrap: rendezvous.addresses, cluster: "friends" });
 *     await using client = await connect({ bootstrap: rendezvous.addresses, cluster: "friends" });
 *     await client.ready();
 *     for await (const text of client.chat("Tell me a story.")) process.stdout.write(text);
 */
export type { AskedStatus } from "../diagnostics/index.ts";
export type { DoctorReport } from "../doctor/index.ts";
export {
  type ErrorCode,
  type ErrorDetails,
  isShoalError,
  ShoalError,
  type ShoalEvent,
  VERSION,
} from "../lib/index.ts";
export type { FileInfo } from "../model/index.ts";
export type { RoleInfo } from "../roles/index.ts";
export type { ClusterStatus, NodeStatus } from "../status/index.ts";
export { askStatus, type AskStatusOptions } from "./ask-status.ts";
export {
  type Client,
  type ClientOptions,
  connect,
  type DownloadOptions,
  type DownloadProgress,
  type SharedFile,
} from "./client.ts";
export { diagnose, type DiagnoseOptions } from "./doctor.ts";
export {
  type GatewayOptions,
  type RunningGateway,
  startGateway,
} from "./gateway.ts";
export type { ChatMessage, GenerateOptions } from "./generate-options.ts";
export type {
  DiagnosticsOptions,
  ListenOptions,
  MemberOptions,
  PatienceOptions,
  TransferOptions,
} from "./member-options.ts";
export {
  type FetchedModel,
  fetchModel,
  type FetchModelOptions,
  type FetchProgress,
  inspectModel,
  splitModel,
  type SplitOptions,
  type SplitProgress,
  type SplitResult,
  type VerifyOptions,
  type VerifyReport,
  verifyShards,
} from "./models.ts";
export { type NodeOptions, startNode } from "./node.ts";
export type { ReadyOptions } from "./readiness.ts";
export { type RendezvousOptions, startRendezvous } from "./rendezvous.ts";
export type { RunningRole, StartContext } from "./run.ts";
export { type SeederOptions, startSeeder } from "./seeder.ts";
export {
  DEMO_MODEL,
  type RunningSwarm,
  startSwarm,
  type SwarmOptions,
} from "./swarm.ts";
