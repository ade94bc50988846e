/** Where the stages of a route go on: each gets every row that it has not, in order, and nobody computes what need not be computed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { KeptPrefix } from "../engine/index.ts";
import type { ComputeMode } from "../lib/index.ts";
import { planResume, type ResumePlan } from "./resume.ts";

const F16: ComputeMode = { kv: "f16", batch: "exact" };
const PROMPT = 600;
const KNOWN = 640;

function has(tokens: number, sent = 0, earliest = 0): KeptPrefix {
  return { tokens, sent, earliest };
}

function plan(...kept: (KeptPrefix | undefined)[]): ResumePlan {
  return planResume(kept, PROMPT, KNOWN, F16);
}

test("nobody has anything: all compute all", () => {
  assert.deepEqual(plan(undefined, undefined), { from: [0, 0], replays: [] });
});

test("all have a beginning: they go on from there", () => {
  const both = plan(has(512), has(512));
  assert.deepEqual(both, { from: [512, 512], replays: [] });
});

test("a new stage is fed by the one before, and the others keep what they have", () => {
  assert.deepEqual(plan(has(638, 638), undefined, has(637)), {
    from: [638, 0, 637],
    replays: [{ stage: 0, from: 0, to: 638 }],
  });
});

test("a new first stage computes again, and sends only what the next one lacks", () => {
  assert.deepEqual(plan(undefined, has(630, 630), has(629)), {
    from: [0, 630, 629],
    replays: [{ stage: 1, from: 629, to: 630 }],
  });
});

test("who kept no rows computes again from where they are needed", () => {
  assert.deepEqual(plan(has(638), has(512)).from, [512, 512]);
  assert.deepEqual(plan(has(638), undefined).from, [0, 0]);
});

test("who can not go back begins anew", () => {
  assert.deepEqual(plan(has(638, 0, 638), has(600)).from, [0, 600]);
});

test("the last token is computed in any case, and a prompt is cut at blocks only, whatever a stage says", () => {
  assert.deepEqual(plan(has(640, 640)).from, [639]);
  assert.deepEqual(plan(has(9_999, 9_999)).from, [639]);
  assert.deepEqual(plan(has(570)).from, [512]);
  assert.deepEqual(planResume([has(599)], 600, 600, F16).from, [512]);
});

test("any stages: each row comes once, in order, from the stage before", () => {
  const one = fc.option(
    fc
      .tuple(fc.nat(700), fc.boolean(), fc.boolean())
      .map(([tokens, sends, isFixed]) =>
        has(
          Math.max(1, tokens),
          sends ? Math.max(1, tokens) : 0,
          isFixed ? Math.max(1, tokens) : 0,
        ),
      ),
    { nil: undefined },
  );
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 6 }), (kept) => {
      const { from, replays } = planResume(kept, PROMPT, KNOWN, F16);
      const at = [...from];
      /** A row arrives at a stage and goes as far as it is needed. */
      const arrive = (stage: number, position: number): void => {
        assert.equal(at[stage], position, `stage ${stage}`);
        at[stage] = position + 1;
        const next = stage + 1;
        if (next < from.length && position >= (from[next] ?? 0))
          arrive(next, position);
      };
      for (const { stage, from: first, to } of replays) {
        assert.ok(to <= (kept[stage]?.sent ?? 0));
        for (let p = first; p < to; p++) arrive(stage + 1, p);
      }
      for (let p = from[0] ?? 0; p < KNOWN; p++) arrive(0, p);
      assert.ok(at.every((end) => end === KNOWN));
      for (const [stage, position] of from.entries()) {
        const { tokens = 0, earliest = 0 } = kept[stage] ?? {};
        assert.ok(position <= tokens && position < KNOWN);
        assert.ok(
          position === 0 || position === tokens || position >= earliest,
        );
      }
    }),
    { numRuns: 2_000 },
  );
});
