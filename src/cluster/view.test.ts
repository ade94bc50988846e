import assert from "node:assert/strict";
import { test } from "node:test";
import type { Announcement, NodeState } from "./announcement.ts";
import { ClusterRecords } from "./records.ts";
import { clusterView } from "./view.ts";

function holder(
  peer: string,
  layerStart: number,
  layerEnd: number,
  changes: Partial<Announcement> = {},
): Announcement {
  return {
    v: 1,
    cluster: "c",
    peer,
    manifest: "m",
    model: "demo",
    layerCount: 8,
    layerStart,
    layerEnd,
    shard: { index: layerStart / 2, count: 4 },
    state: "ready",
    contextLength: 512,
    batchTokens: 128,
    sessions: { active: 0, max: 4 },
    addresses: [],
    version: "0",
    seq: 1,
    issuedMs: 1000,
    ttlMs: 60_000,
    ...changes,
  };
}
const four = [0, 2, 4, 6].map((start, i) => holder(`p${i}`, start, start + 2));

test("nobody: there is no view", () => {
  assert.equal(clusterView([]), undefined);
});

test("every layer has a ready holder: ready, nothing is missing", () => {
  const view = clusterView(four);
  assert.deepEqual(
    [view?.complete, view?.ready, view?.missing, view?.shards.length],
    [true, true, [], 4],
  );
});

for (const missing of [0, 1, 2, 3]) {
  test(`without shard ${missing} the swarm is not ready, and the shard is named`, () => {
    const view = clusterView(four.filter((_, i) => i !== missing));
    assert.deepEqual(
      [view?.complete, view?.ready, view?.missing],
      [false, false, [missing]],
    );
  });
}

for (const state of [
  "joining",
  "downloading",
  "loading",
  "draining",
] satisfies NodeState[]) {
  test(`a holder that is ${state} makes the pipeline complete, not ready`, () => {
    const view = clusterView(four.with(1, holder("p1", 2, 4, { state })));
    assert.deepEqual(
      [view?.complete, view?.ready, view?.missing],
      [true, false, [1]],
    );
  });
}

test("a second holder keeps the shard ready", () => {
  const view = clusterView([
    ...four.with(1, holder("p1", 2, 4, { state: "loading" })),
    holder("q", 2, 4),
  ]);
  assert.equal(view?.ready, true);
  assert.equal(view?.shards[1]?.holders.length, 2);
});

test("ranges that overlap but do not chain are not ready", () => {
  const view = clusterView([holder("a", 0, 5), holder("b", 4, 8)]);
  assert.equal(view?.ready, false);
});

test("holders of another model do not count for the one that most hold", () => {
  const view = clusterView([
    ...four.slice(0, 3),
    holder("x", 6, 8, { manifest: "other" }),
  ]);
  assert.deepEqual([view?.manifest, view?.ready], ["m", false]);
});

test("an older record never replaces a newer one; what expires or says goodbye is gone", () => {
  const records = new ClusterRecords();
  const put = (announcement: Announcement): string =>
    records.put({ announcement, sealed: { record: "", signature: "" } });
  assert.equal(put(holder("a", 0, 2, { seq: 5 })), "new");
  assert.equal(put(holder("a", 0, 2, { seq: 5 })), "stale");
  assert.equal(put(holder("a", 0, 2, { seq: 4, state: "loading" })), "stale");
  assert.equal(put(holder("a", 0, 2, { seq: 6 })), "renewed");
  assert.equal(put(holder("a", 0, 2, { seq: 7, state: "loading" })), "changed");
  assert.equal(records.list(1000).length, 1);
  assert.equal(records.list(61_000).length, 0);
  assert.equal(put(holder("a", 0, 2, { seq: 8, state: "gone" })), "changed");
  assert.equal(records.list(1000).length, 0);
  assert.equal(records.expire(1000), true);
  assert.equal(records.size, 0);
});
