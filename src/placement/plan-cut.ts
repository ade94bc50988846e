/** The cut of now and the better one, with what each would take: what `shoal plan` shows and a cluster moves by. Pure. */
import type { LayerRange } from "../model/index.ts";
import { bestCut, cutTimes, type CutTimes } from "./better-cut.ts";
import { cutInput, type CutQuestion, type Mover } from "./cut-stages.ts";

export interface TimedCut extends CutTimes {
  ranges: readonly LayerRange[];
}

export interface CutPlan {
  now: TimedCut;
  /** The best that is possible: that of now, where none is better. */
  better: TimedCut;
  /** The part of a token's time that it saves, 0 to 1. */
  gain: number;
  /** Of each stage: the nodes that hold it for good. */
  members: Mover[][];
}

/** Or why nothing can be said. */
export function planCut(question: CutQuestion): CutPlan | { reason: string } {
  const answer = cutInput(question);
  if ("reason" in answer) return answer;
  const { input, members } = answer;
  const timed = (ranges: readonly LayerRange[]): TimedCut => ({
    ranges,
    ...cutTimes(input, ranges),
  });
  const now = timed(question.cut.ranges);
  const better = timed(bestCut(input));
  return { now, better, gain: 1 - better.msPerToken / now.msPerToken, members };
}
