/** Gossip, view and placement together in virtual time: properties of every cluster, here with 30 nodes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Simulation } from "../../test/support/simulation.ts";

const COMMON = {
  nodes: 30,
  shards: 10,
  minutes: 4,
  churnPerMinute: 0.2,
  delayMs: [5, 150],
  seed: 7,
  recordBytes: { whole: 560, change: 180 },
} as const;

test("30 nodes without message loss: all notice a crash within 5 s and a loaded shard within 1 s", () => {
  const result = new Simulation({ ...COMMON, loss: 0 }).run();
  assert.ok(result.crashes >= 5, `${result.crashes} crashes`);
  assert.ok(result.goodbyes >= 5, `${result.goodbyes} goodbyes`);
  assert.ok(result.crashNoticedMs.count >= 100);
  assert.ok(result.crashNoticedMs.max <= 5_000, `${result.crashNoticedMs.max}`);
  assert.ok(result.readySeenMs.count >= 100);
  assert.ok(result.readySeenMs.max <= 1_000, `${result.readySeenMs.max}`);
  assert.equal(result.missed, 0);
  assert.equal(result.falseDrops, 0);
  // All holders of a shard may crash within seconds; then others take it over.
  assert.ok(result.coverage > 0.99, `${result.coverage}`);
});

test("one message in a hundred is lost: all notice anyway, and no living node is dropped", () => {
  const result = new Simulation({ ...COMMON, loss: 0.01 }).run();
  assert.ok(result.crashNoticedMs.p50 <= 5_000);
  assert.ok(result.readySeenMs.p50 <= 1_000);
  assert.equal(result.missed, 0);
  assert.equal(result.falseDrops, 0);
});

test("the same seed gives the same cluster; a node's traffic grows with the cluster, not with its square", () => {
  const of = (nodes: number): ReturnType<Simulation["run"]> =>
    new Simulation({ ...COMMON, loss: 0.01, nodes, minutes: 1 }).run();
  const small = of(20);
  assert.deepEqual(of(20), small);
  const growth = of(80).bytesPerNodeMinute / small.bytesPerNodeMinute;
  // Four times the nodes: each renewal once to each. Among 20 fewer come twice, since most are neighbours. Its square would be 16.
  assert.ok(growth < 5, `${growth}`);
});
