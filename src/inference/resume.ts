/**
 * Where each stage of a route goes on when some of them have a beginning of the session's tokens from an earlier one. Pure.
 *
 * A stage needs rows from the first position on that it has not, and gets them from the stage before: computed, or as that one sent them to
 * another stage that was lost. Who can not send them computes again, from there on.
 */
import { alignedPrefix, type KeptPrefix } from "../engine/index.ts";
import type { ComputeMode } from "../lib/index.ts";

export interface ResumePlan {
  /** Of each stage: the first position that it computes. */
  from: number[];
  /** In this order, each when the one before has come through. */
  replays: Replay[];
}

export interface Replay {
  /** Who sends the next stage rows `from…to` again. */
  stage: number;
  from: number;
  to: number;
}

/** `kept`: what each stage says; `knownTokens`: prompt and what was generated. The last of them is computed in any case. */
export function planResume(
  kept: readonly (KeptPrefix | undefined)[],
  promptTokens: number,
  knownTokens: number,
  mode: ComputeMode,
): ResumePlan {
  const from: number[] = [];
  const replays: Replay[] = [];
  for (let stage = kept.length - 1; stage >= 0; stage--) {
    const next = from[stage + 1] ?? Infinity;
    const has = usable(kept[stage], promptTokens, knownTokens, mode);
    const own = has?.tokens ?? 0;
    if (next >= own) from[stage] = own;
    else if ((has?.sent ?? 0) >= own) {
      from[stage] = own;
      replays.push({ stage, from: next, to: own });
    } else from[stage] = next >= (has?.earliest ?? 0) ? next : 0;
  }
  return { from, replays };
}

/** As far as it may be true: a stage can not make a prompt be cut where bits would change, or all be skipped. */
function usable(
  kept: KeptPrefix | undefined,
  promptTokens: number,
  knownTokens: number,
  { kv, batch }: ComputeMode,
): KeptPrefix | undefined {
  if (kept === undefined) return undefined;
  const most = Math.min(kept.tokens, knownTokens - 1);
  const rules = { kv, anyBits: batch === "fast", sameRows: true };
  const tokens =
    most >= promptTokens ? most : alignedPrefix(most, promptTokens, rules);
  const isAllowed = tokens === kept.tokens || tokens >= kept.earliest;
  return isAllowed ? { ...kept, tokens } : undefined;
}
