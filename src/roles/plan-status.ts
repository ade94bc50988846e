/** The cut of now and the better one, as people are shown them. Pure. */
import {
  type Cut,
  type CutPlan,
  MOVE,
  type Mover,
  type TimedCut,
} from "../placement/index.ts";
import type {
  CutStatus,
  PlanMachineStatus,
  PlanStatus,
} from "../status/index.ts";
import type { ServedModel } from "../weights/index.ts";
import type { SwarmNow } from "./model-swarm.ts";

export interface PlanFacts {
  cluster: string;
  model: ServedModel;
  now: SwarmNow;
  plan: CutPlan | { reason: string };
  sessions: number;
  worthMs: number | undefined;
  restsMs: number;
  moveAfterMs: number;
}

export function planStatus(facts: PlanFacts): PlanStatus {
  const { cluster, model, now, plan, sessions, moveAfterMs } = facts;
  const moving = now.otherCuts.find((c) => c.version > now.cut.version);
  const known = "better" in plan ? plan : undefined;
  return {
    cluster,
    manifest: model.id,
    model: model.manifest.name,
    version: now.cut.version,
    sessions: round(sessions),
    now: known === undefined ? unmeasured(now.cut) : shown(known.now),
    better: known === undefined ? null : shown(known.better),
    reason: "reason" in plan ? plan.reason : null,
    gain: known === undefined ? null : round(known.gain),
    enough: MOVE.gain,
    enoughForMs: facts.worthMs ?? null,
    moveAfterMs,
    restsMs: Math.round(facts.restsMs),
    moving: moving?.version ?? null,
    machines: known === undefined ? [] : machines(known),
  };
}

function machines({ members, better }: CutPlan): PlanMachineStatus[] {
  return members.flatMap((those, stage) =>
    those.map((member) => {
      const { peer, layerStart, layerEnd, msPerToken, move } = member;
      const then = better.ranges[stage] ?? member;
      return {
        peer,
        stage,
        layerStart,
        layerEnd,
        thenStart: then.layerStart,
        thenEnd: then.layerEnd,
        fetches: missing(member, then.layerStart, then.layerEnd),
        msPerToken: msPerToken === undefined ? null : round(msPerToken),
        move: move ?? "off",
      };
    }),
  );
}

/** Layers that are not on its disk. */
function missing({ onDisk = [] }: Mover, start: number, end: number): number {
  let count = 0;
  for (let layer = start; layer < end; layer++)
    if (!onDisk.some(([a = 0, b = 0]) => a <= layer && layer < b)) count++;
  return count;
}

function shown({ msPerToken, stageMs, ranges }: TimedCut): CutStatus {
  return {
    msPerToken: round(msPerToken),
    stages: ranges.map((range, i) => ({
      ...range,
      computeMs: round(stageMs[i] ?? 0),
    })),
  };
}

function unmeasured({ ranges }: Cut): CutStatus {
  const stages = ranges.map((range) => ({ ...range, computeMs: null }));
  return { msPerToken: null, stages };
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
