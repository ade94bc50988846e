import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlanMachineStatus, PlanStatus } from "../status/index.ts";
import { planLines } from "./plan-lines.ts";

const machine = (
  stage: number,
  [layerStart, layerEnd]: readonly [number, number],
  [thenStart, thenEnd]: readonly [number, number],
  changes: Partial<PlanMachineStatus> = {},
): PlanMachineStatus => ({
  peer: `12D3KooWPeer${stage}abcdefg`,
  stage,
  layerStart,
  layerEnd,
  thenStart,
  thenEnd,
  fetches: 0,
  msPerToken: 40,
  move: "auto",
  ...changes,
});

const stage = (
  layerStart: number,
  layerEnd: number,
  computeMs: number | null,
) => ({ layerStart, layerEnd, computeMs });

const plan: PlanStatus = {
  cluster: "friends",
  manifest: "m",
  model: "Llama 3 8B",
  version: 0,
  sessions: 1.4,
  now: { msPerToken: 61.2, stages: [stage(0, 4, 40), stage(4, 8, 20)] },
  better: { msPerToken: 41.2, stages: [stage(0, 2, 20), stage(2, 8, 20.1)] },
  reason: null,
  gain: 0.327,
  enough: 0.15,
  enoughForMs: 65_000,
  moveAfterMs: 180_000,
  restsMs: 0,
  moving: null,
  machines: [
    machine(0, [0, 4], [0, 2]),
    machine(1, [4, 8], [2, 8], { msPerToken: 20, fetches: 2 }),
  ],
};

test("the cut of now, the better one, and what each machine would do", () => {
  assert.deepEqual(planLines(plan), [
    "Cluster friends: Llama 3 8B in 2 stages, cut 0, the cluster's own plan",
    "Now: 61.2 ms a token expected, with 1.4 sessions at once",
    "  Stage 0, layers 0-3, 40.0 ms: …0abcdefg 40.0 ms",
    "  Stage 1, layers 4-7, 20.0 ms: …1abcdefg 20.0 ms",
    "Better: 41.2 ms a token expected, 33 % less",
    "  Stage 0, layers 0-1, 20.0 ms: …0abcdefg 2 fewer, nothing to fetch",
    "  Stage 1, layers 2-7, 20.1 ms: …1abcdefg 2 more, 2 to fetch",
    "  The cut moves by itself: it has been worth a change for 1 min 5 s of 3 min 0 s of work",
  ]);
});

const endings: readonly [string, Partial<PlanStatus>, string][] = [
  [
    "nothing better",
    { better: plan.now, gain: 0, enoughForMs: null },
    "  No other cut is better",
  ],
  [
    "too little",
    { gain: 0.08, enoughForMs: null },
    "  It is not worth a change: 8 % less is under 15 %",
  ],
  [
    "too unsure",
    { enoughForMs: null },
    "  It is not sure: the measured times vary too much",
  ],
  [
    "a change not long ago",
    { restsMs: 600_000 },
    "  The cut moves by itself: it has been worth a change for 1 min 5 s of 3 min 0 s of work, and rests for 10 min 0 s more",
  ],
  ["a change on its way", { moving: 1 }, "  Nodes are loading cut 1"],
  [
    "nothing known",
    {
      better: null,
      gain: null,
      now: { msPerToken: null, stages: [stage(0, 4, null), stage(4, 8, null)] },
      reason: "stage 1 (layers 4-7) has not computed a token yet",
      enoughForMs: null,
      machines: [],
    },
    "  Nothing better can be said: stage 1 (layers 4-7) has not computed a token yet",
  ],
  [
    "an operator to agree",
    { machines: [machine(0, [0, 4], [0, 2], { move: "ask" })] },
    "  The operators of …0abcdefg must agree, with `shoal plan --agree` on each machine: it has been worth a change for 1",
  ],
];
for (const [name, changes, expected] of endings) {
  test(`the last line says what follows: ${name}`, () => {
    const lines = planLines({ ...plan, ...changes }, { width: 120 });
    const last = lines.findLast((line) => !line.startsWith("    "));
    assert.ok(expected.startsWith(last!) || last!.startsWith(expected), last);
  });
}

test("a machine that stays says so, and one whose operator must agree", () => {
  const machines = [
    machine(0, [0, 4], [0, 4], { move: "off" }),
    machine(1, [4, 8], [4, 8], { move: "ask" }),
  ];
  const lines = planLines({ ...plan, machines }).join("\n");
  assert.match(lines, /…0abcdefg 40\.0 ms, stays\n/);
  assert.match(lines, /…1abcdefg 40\.0 ms, moves when agreed\n/);
  assert.match(lines, /…0abcdefg stays\n/);
});
