import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { announcementOf, recordOf } from "../../test/support/announcements.ts";
import type { Announcement } from "./announcement.ts";
import { NODE_STATES, type NodeState } from "../status/index.ts";
import { ClusterRecords } from "./records.ts";
import { clusterView } from "./view.ts";

function holder(
  peer: string,
  layerStart: number,
  layerEnd: number,
  changes: Partial<Announcement> = {},
): Announcement {
  return announcementOf({
    peer,
    layerStart,
    layerEnd,
    shard: { index: layerStart / 2, count: 4 },
    ...changes,
  });
}
const four = [0, 2, 4, 6].map((start, i) => holder(`p${i}`, start, start + 2));

test("without members there is no view", () => {
  assert.equal(clusterView([]), undefined);
});

test("every layer has a ready holder: ready, nothing is missing", () => {
  const view = clusterView(four);
  assert.deepEqual(
    [view?.complete, view?.ready, view?.missing, view?.shards.length],
    [true, true, [], 4],
  );
});

test("holders that compute in another mode than the cluster's record do not count", () => {
  const mixed = four.with(2, holder("p2", 4, 6, { kv: "bf16" }));
  const view = clusterView(mixed, { manifest: "m", shards: 4 });
  assert.deepEqual([view?.ready, view?.missing], [false, [2]]);
  const bf16 = four.map((a) => ({ ...a, kv: "bf16" as const }));
  const served = { manifest: "m", shards: 4, kv: "bf16" as const };
  assert.equal(clusterView(bf16, served)?.ready, true);
  assert.equal(clusterView(four, served)?.ready, false);
});

test("without a record those count that compute as most do", () => {
  const fast = four.map((a) => ({ ...a, batch: "fast" as const }));
  const view = clusterView([...fast, holder("other", 0, 2)]);
  assert.deepEqual([view?.batch, view?.kv, view?.ready], ["fast", "f16", true]);
  assert.deepEqual(view?.shards[0]?.holders.length, 1);
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
    records.put(recordOf(announcement));
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

test("shards that all have a ready holder but do not chain: the one where the chain breaks is missing", () => {
  const view = clusterView(
    four.with(2, holder("p2", 3, 6, { shard: { index: 2, count: 4 } })),
  );
  assert.deepEqual([view?.ready, view?.missing], [false, [2]]);
});

test("a record with an impossible plan is ignored, however large its number", () => {
  const hostile = holder("x", 0, 2, {
    shard: { index: 0, count: Number.MAX_SAFE_INTEGER },
  });
  assert.equal(clusterView([hostile]), undefined);
  assert.deepEqual(clusterView([...four.slice(1), hostile])?.missing, [0]);
});

// ---- what holds for every set of records

const LAYERS = 8;
const peer = fc.string({ minLength: 1, maxLength: 2 });
const state = fc.constantFrom(...NODE_STATES);

/** Holders of the plan's four shards. */
const planned = fc
  .record({ peer, shard: fc.nat({ max: 3 }), state })
  .map(({ peer, shard, state }) =>
    holder(peer, shard * 2, shard * 2 + 2, { state }),
  );
/** Everything that passes the schema: other plans, other models, lies. */
const wild = fc
  .record({
    peer,
    state,
    manifest: fc.constantFrom("m", "m", "other"),
    model: fc.constantFrom("demo", "lie"),
    layerCount: fc.constantFrom(LAYERS, LAYERS, 1, 65_536),
    layerStart: fc.oneof(fc.nat({ max: LAYERS }), fc.constant(65_535)),
    layerEnd: fc.oneof(
      fc.integer({ min: 1, max: LAYERS + 1 }),
      fc.constant(65_536),
    ),
    shard: fc.record({
      index: fc.oneof(fc.nat({ max: 5 }), fc.constant(Number.MAX_SAFE_INTEGER)),
      count: fc.oneof(
        fc.integer({ min: 1, max: 6 }),
        fc.constant(Number.MAX_SAFE_INTEGER),
      ),
    }),
  })
  .map(({ peer, layerStart, layerEnd, ...rest }) =>
    holder(peer, layerStart, layerEnd, rest),
  );
/** One record of each peer and range, as ClusterRecords keeps them. */
const unique = (items: Announcement[]): Announcement[] => [
  ...new Map(
    items.map((a) => [`${a.peer}/${a.layerStart}-${a.layerEnd}`, a]),
  ).values(),
];
const mostlyPlanned = fc
  .array(
    fc.oneof({ weight: 4, arbitrary: planned }, { weight: 1, arbitrary: wild }),
    { maxLength: 16 },
  )
  .map(unique);
const anyRecords = fc.oneof(
  mostlyPlanned,
  fc.array(wild, { maxLength: 16 }).map(unique),
);

test("property: the order of the records does not matter", () => {
  const shuffles = anyRecords.chain((records) =>
    fc.tuple(
      fc.constant(records),
      fc.shuffledSubarray(records, { minLength: records.length }),
    ),
  );
  fc.assert(
    fc.property(shuffles, ([records, shuffled]) => {
      assert.deepEqual(clusterView(shuffled), clusterView(records));
    }),
  );
});

test("property: ready means complete, and nothing is missing exactly if it is ready", () => {
  fc.assert(
    fc.property(anyRecords, (records) => {
      const view = clusterView(records);
      if (view === undefined) return;
      assert.ok(!view.ready || view.complete);
      assert.equal(view.missing.length === 0, view.ready);
      for (const index of view.missing)
        assert.ok(index >= 0 && index < view.shardCount);
    }),
  );
});

test("property: ready is what a walk over ready ranges finds", () => {
  fc.assert(
    fc.property(mostlyPlanned, (records) => {
      const view = clusterView(records);
      if (view === undefined) return;
      const usable = records.filter(
        (a) =>
          a.state === "ready" &&
          a.manifest === view.manifest &&
          a.layerCount === view.layerCount &&
          a.shard.index < a.shard.count &&
          a.shard.count <= a.layerCount,
      );
      const canReach = (layer: number): boolean =>
        layer === view.layerCount ||
        usable.some(
          (a) =>
            a.layerStart === layer &&
            a.layerEnd > layer &&
            canReach(a.layerEnd),
        );
      assert.equal(view.ready, canReach(0));
    }),
  );
});

test("property: one more ready holder of the model never loses readiness", () => {
  const holders = fc.array(planned, { maxLength: 16 }).map(unique);
  // Its range is arbitrary: a range that does not chain neither helps nor harms.
  const more = fc
    .tuple(fc.nat({ max: LAYERS - 1 }), fc.integer({ min: 1, max: LAYERS }))
    .filter(([start, end]) => start < end)
    .map(([start, end]) =>
      holder("newcomer", start, end, {
        shard: { index: Math.floor(start / 2), count: 4 },
      }),
    );
  fc.assert(
    fc.property(holders, more, (records, newcomer) => {
      const before = clusterView(records);
      const after = clusterView([...records, newcomer]);
      assert.ok(before?.ready !== true || after?.ready === true);
      assert.ok(before?.complete !== true || after?.complete === true);
      assert.equal(after?.missing.length === 0, after?.ready);
      // If plans do not fit together, the reported number is where the chain breaks, and that may move.
      const { layerStart: start, layerEnd: end } = newcomer;
      const isOfPlan = start % 2 === 0 && end === start + 2;
      const were = new Set(before?.missing);
      if (before !== undefined && isOfPlan)
        assert.ok(after?.missing.every((i) => were.has(i)));
    }),
    { numRuns: 1_000 },
  );
});

test("property: a member that is gone or expired never counts", () => {
  const records = fc.array(
    fc.tuple(planned, fc.nat({ max: 120_000 }), fc.nat({ max: 60_000 })),
    { maxLength: 16 },
  );
  fc.assert(
    fc.property(records, fc.nat({ max: 180_000 }), (all, nowMs) => {
      const kept = new ClusterRecords();
      const announcements = unique(
        all.map(([a, issuedMs, ttlMs]) => ({ ...a, issuedMs, ttlMs })),
      );
      for (const announcement of announcements)
        kept.put(recordOf(announcement));
      const live = announcements.filter(
        (a) => a.state !== "gone" && a.issuedMs + a.ttlMs > nowMs,
      );
      const listed = kept.list(nowMs).map((record) => record.announcement);
      assert.deepEqual(clusterView(listed), clusterView(live));
      // Even if passed to the view directly.
      assert.deepEqual(
        clusterView(announcements.filter((a) => a.state === "gone")),
        undefined,
      );
    }),
  );
});

test("property: a node counts itself: an added node is among the holders of its layers", () => {
  const records = fc.array(planned, { maxLength: 16 });
  fc.assert(
    fc.property(records, fc.nat({ max: 3 }), (others, shard) => {
      const own = holder("self", shard * 2, shard * 2 + 2);
      const view = clusterView([...others, own]);
      const of = view?.shards.find((s) => s.layerStart === shard * 2);
      assert.ok(of?.holders.some((a) => a.peer === "self"));
      assert.ok(of?.loaded);
      assert.ok(!view?.missing.includes(shard));
    }),
  );
});

test("the model of the cluster's record counts, however many hold another", () => {
  const own = holder("a", 0, 8, { shard: { index: 0, count: 1 } });
  const others = ["b", "c", "d"].map((peer) => ({
    ...own,
    peer,
    manifest: "other",
  }));
  assert.equal(clusterView([own, ...others])?.manifest, "other");
  const served = { manifest: own.manifest, shards: 1 };
  const view = clusterView([own, ...others], served);
  assert.equal(view?.manifest, own.manifest);
  assert.deepEqual(
    view?.shards.flatMap(({ holders }) => holders.map(({ peer }) => peer)),
    ["a"],
  );
  assert.equal(clusterView(others, served), undefined);
});
