/**
 * Which node should hold which shard. Pure functions of the announcements, the plan and the free memory: no clock, no socket.
 *
 *     const placed = placeShard({ swarm, node, room });           // a joining node picks its shard
 *     const plans = takeOvers(swarm, history, nowMs, room);       // a shard without a holder is taken over
 *     const warm = standbys(swarm, history, nowMs, room);         // one with a single holder gets another
 *     const plan = planCut({ model, cut, announcements, … });      // where it should be cut, as the machines are
 */
export { spareOf } from "./candidates.ts";
export { coverageOf, isClaim, type Swarm, turnOf } from "./coverage.ts";
export {
  COPIES,
  type CoverageHistory,
  NO_HISTORY,
  observeCoverage,
} from "./coverage-history.ts";
export {
  type Cut,
  cutOf,
  cutsOf,
  firstCut,
  follows,
  sameCut,
  toldCut,
} from "./cut-in-force.ts";
export type { Mover } from "./cut-stages.ts";
export { memoryForShards } from "./gpu-memory.ts";
export {
  isDue,
  MOVE,
  type MoveHistory,
  NO_MOVES,
  seeGain,
  seeNow,
  steady,
} from "./move-history.ts";
export { placeShard, shouldYield } from "./placement.ts";
export { type CutPlan, planCut, type TimedCut } from "./plan-cut.ts";
export {
  CONTEXT_DEFAULTS,
  leastRoom,
  roomIn,
  sequencesIn,
  whatFits,
  type Wish,
} from "./room.ts";
export {
  contextThatFits,
  type EngineMemory,
  freeFor,
  needsOf,
  type PlanShard,
  planShards,
  residentBytes,
  type SessionRoom,
  usableBytes,
} from "./shard-needs.ts";
export {
  type AdoptionInput,
  shouldGiveBack,
  standbys,
  type TakeOver,
  takeOvers,
} from "./take-over.ts";
