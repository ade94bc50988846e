/** The cut of now and the better one, with what each would take: what `shoal plan` shows and a cluster moves by. Pure. */
import type { LayerRange } from "../model/index.ts";
import {
  bestCut,
  type CutInput,
  cutTimes,
  type CutTimes,
} from "./better-cut.ts";
import {
  cutInput,
  type CutQuestion,
  doubted,
  type Mover,
} from "./cut-stages.ts";

export interface TimedCut extends CutTimes {
  ranges: readonly LayerRange[];
}

export interface CutPlan {
  now: TimedCut;
  /** The best that is possible: that of now, where none is better. */
  better: TimedCut;
  /** The part of a token's time that it saves, 0 to 1. */
  gain: number;
  /** The same, if the nodes that get more layers are as slow as in a quarter of their time, and the others as fast. Below 0 it costs. */
  sureGain: number;
  /** Of each stage: the nodes that hold it for good. */
  members: Mover[][];
}

/** Or why nothing can be said. */
export function planCut(question: CutQuestion): CutPlan | { reason: string } {
  const answer = cutInput(question);
  if ("reason" in answer) return answer;
  const { input, members } = answer;
  const before = question.cut.ranges;
  const after = bestCut(input);
  const sure = doubted(answer, after);
  return {
    now: { ranges: before, ...cutTimes(input, before) },
    better: { ranges: after, ...cutTimes(input, after) },
    gain: gainOf(input, before, after),
    sureGain: gainOf(sure, before, after),
    members,
  };
}

function gainOf(
  input: CutInput,
  before: readonly LayerRange[],
  after: readonly LayerRange[],
): number {
  const msOf = (ranges: readonly LayerRange[]): number =>
    cutTimes(input, ranges).msPerToken;
  return 1 - msOf(after) / msOf(before);
}
