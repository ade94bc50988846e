/**
 * The way of a session through the cluster, and what a token will take on it: pure functions of what members announce.
 *
 *     const plan = planRoute(holders, layerCount);
 *     plan?.stages;                    // the holders, in order
 *     plan?.prediction.msPerToken;     // and its parts, stage by stage: compute, wire to the next stage, queue
 *
 * A token goes around: the last stage sends it back to the first. So a route is the cheapest cycle, not the cheapest chain.
 */
export { MAX_STAGES } from "./defaults.ts";
export { hasRoute, planRoute, type RoutePlan } from "./plan-route.ts";
export {
  computeTimes,
  type Holder,
  predict,
  type PredictedStage,
  type RoutePrediction,
} from "./prediction.ts";
