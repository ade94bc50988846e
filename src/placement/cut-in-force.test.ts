/** Which cut a cluster follows, from what its members announce. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlannedModel } from "../model/index.ts";
import type { Holder } from "./coverage.ts";
import { type Cut, cutOf, cutsOf, firstCut, toldCut } from "./cut-in-force.ts";

const LAYERS = 12;
const model: PlannedModel = {
  layerCount: LAYERS,
  tied: false,
  cuts: {
    borders: Array.from({ length: LAYERS - 1 }, (_, i) => i + 1).filter(
      (border) => border !== 7,
    ),
    needs: [],
    refusedLengths: [],
  },
  layerCosts: Array.from({ length: LAYERS }, () => 1),
  parts: Array.from({ length: LAYERS }, (_, i) => ({
    id: `layer.${i}`,
    sizeBytes: 1,
  })),
};
const first = firstCut(model, 3); // 0-4, 4-8, 8-12
const next = { version: 1, borders: [2, 6] };

type Told = Holder & { cut?: typeof next };

function holder(
  [layerStart, layerEnd]: readonly number[],
  changes: Partial<Told> = {},
): Told {
  return {
    peer: `${layerStart}-${layerEnd}`,
    manifest: "m",
    layerStart: layerStart!,
    layerEnd: layerEnd!,
    state: "ready",
    contextLength: 1024,
    sessions: { active: 0, max: 1 },
    msPerToken: undefined,
    ...changes,
  };
}

const old = [holder([0, 4]), holder([4, 8]), holder([8, 12])];
const moved = [[0, 2], [2, 6], [6, 12]].map((range) => holder(range, { cut: next })); // prettier-ignore

const inForce = (announcements: Told[]): Cut =>
  cutsOf({ model, first, announcements }).inForce;

test("without a word the cluster's own plan is in force", () => {
  assert.deepEqual(inForce([]), first);
  assert.deepEqual(inForce(old), first);
});

test("a new cut is in force from its last ready stage on, and stays when the old one goes, and when one of its own stages is lost", () => {
  const loading = { ...moved[2]!, state: "loading" as const };
  assert.equal(inForce([...old, ...moved.slice(0, 2)]).version, 0);
  assert.equal(inForce([...old, moved[0]!, moved[1]!, loading]).version, 0);
  assert.equal(inForce([...old, ...moved]).version, 1);
  assert.equal(inForce(moved).version, 1);
  assert.equal(inForce(moved.slice(1)).version, 1);
  assert.equal(inForce([moved[1]!]).version, 1);
});

test("who joins a cluster of which all others have left begins with its own plan", () => {
  assert.equal(inForce([holder([0, 4], { state: "joining" })]).version, 0);
});

test("a stage whose layers stay counts for both cuts", () => {
  const cut = { version: 1, borders: [3, 8] };
  const changed = [[0, 3], [3, 8]].map((range) => holder(range, { cut })); // prettier-ignore
  assert.equal(inForce([...old, changed[0]!]).version, 0);
  assert.equal(inForce([...old, ...changed]).version, 1);
});

test("the order of the records changes nothing, and of two new cuts everybody takes the same", () => {
  const other = { version: 1, borders: [1, 6] };
  const rival = [[0, 1], [1, 6], [6, 12]].map((range) => holder(range, { cut: other })); // prettier-ignore
  const all = [...old, ...moved, ...rival];
  assert.deepEqual(inForce(all), inForce(all.toReversed()));
});

test("a cut is told and understood again; one that the model does not allow is none", () => {
  const cut = cutOf(next, model, 3)!;
  assert.deepEqual(toldCut(cut), next);
  assert.equal(toldCut(first), undefined);
  for (const borders of [[2], [6, 2], [2, 2], [2, 12], [2, 7]])
    assert.equal(cutOf({ version: 1, borders }, model, 3), undefined);
});

test("others are those that somebody follows and that are not in force", () => {
  const { others } = cutsOf({
    model,
    first,
    announcements: [...old, moved[0]!, holder([0, 1], { cut: { version: 3, borders: [9, 2] } })], // prettier-ignore
  });
  assert.deepEqual(others, [cutOf(next, model, 3)]);
});

test("many invented cuts do not hide the one that members follow", () => {
  const invented = Array.from({ length: 100 }, (_, i) =>
    holder([0, 1], {
      peer: `liar ${i}`,
      state: "joining",
      cut: { version: 100 + i, borders: [1, 2] },
    }),
  );
  assert.equal(inForce([...invented, ...moved]).version, 1);
});
