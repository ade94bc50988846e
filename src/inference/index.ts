/**
 * A prompt's way through the cluster. A session has a route, the fewest stages that cover all layers. Every stage keeps the session's KV in
 * its own sequence. Token ids go to stage 0, activations (f32) from stage to stage over streams that are opened once, and the last stage
 * sends each sampled token to stage 0 and to the gateway at once.
 *
 *     const service = new StageService({ host, events });        // on a node
 *     service.hold({ manifest, layerStart, layerEnd, shard, engine });
 *     service.start();
 *
 *     const pipeline = new Pipeline(host);                       // on a gateway
 *     for await (const { token, finish } of pipeline.generate({ manifest, route, tokens, … })) …
 */
export type { DataPlace } from "./data-links.ts";
export type {
  Arrival,
  Backend,
  GeneratedToken,
  GenerateRequest,
  ModelNames,
  ServedModel,
  TokenizerPort,
} from "./backend.ts";
export type { ModelFacts } from "./model-facts.ts";
export { reportReadiness } from "./readiness.ts";
export { RECOVERY_DEFAULTS } from "./recovery.ts";
export { READY_DEFAULTS } from "./waiting-room.ts";
export { layersOf } from "./route.ts";
export { SessionLog } from "./session-log.ts";
export type { SessionStatus } from "../status/index.ts";
export { firstOf, sessionsOf, SeveralBackends } from "./several-backends.ts";
export { StageService } from "./stage-service.ts";
export { SwarmBackend } from "./swarm-backend.ts";
