/**
 * Which node should hold which shard. Pure functions of the announcements, the plan and the free memory: no clock, no socket.
 *
 *     const placed = placeShard({ swarm, node, room });           // a joining node picks its shard
 *     const plans = takeOvers(swarm, history, nowMs, room);       // a shard without a holder is taken over
 */
export { coverageOf, type Swarm } from "./coverage.ts";
export { memoryForShards } from "./gpu-memory.ts";
export { placeShard, shouldYield } from "./placement.ts";
export {
  needsOf,
  type PlanShard,
  planShards,
  type SessionRoom,
  usableBytes,
} from "./shard-needs.ts";
export {
  type TakeOver,
  takeOvers,
  type CoverageHistory,
  NO_HISTORY,
  observeCoverage,
  shouldGiveBack,
} from "./take-over.ts";
