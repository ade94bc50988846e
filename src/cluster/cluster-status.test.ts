/** The status of a cluster for people: every shard of the plan, and the one reason why prompts cannot run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { announcementOf } from "../../test/support/announcements.ts";
import type { Announcement } from "./announcement.ts";
import { clusterStatus, type PlanOf } from "./cluster-status.ts";
import {
  nodeStatusThatFits,
  type ClusterStatus,
  clusterStatusSchema,
  type NodeStatus,
  nodeStatusSchema,
} from "../status/index.ts";
import { MAX_STATUS_BYTES } from "../status/status-size.ts";

function holder(
  index: number,
  changes: Partial<Announcement> = {},
): Announcement {
  return announcementOf({
    cluster: "c",
    peer: `peer-number-${index}`,
    layerCount: 16,
    layerStart: index * 4,
    layerEnd: index * 4 + 4,
    shard: { index, count: 4 },
    ...changes,
  });
}
const all = [0, 1, 2, 3].map((index) => holder(index));

function statusOf(
  announcements: readonly Announcement[],
  published?: { manifest: string; model: string; shards: number },
  planOf?: PlanOf,
): ClusterStatus {
  const status = clusterStatus({
    cluster: "c",
    announcements,
    ownPeer: "peer-number-0",
    published,
    refused: {},
    sinceMs: () => 7,
    heardMs: () => 9,
    planOf,
  });
  assert.deepEqual(
    clusterStatusSchema.parse(status),
    status,
    "the schema says so",
  );
  return status;
}

const reasons: [string, Announcement[], string | null][] = [
  ["nothing is wrong", all, null],
  [
    "a shard has no holder",
    all.toSpliced(3, 1),
    "shard 3 of 4 (layers 12-15) has no holder",
  ],
  [
    "several have none",
    all.toSpliced(1, 2),
    "shards 1-2 of 4 (layers 4-11) have no holder",
  ],
  [
    "some that are not adjacent have none",
    all.toSpliced(3, 1).toSpliced(1, 1),
    "shards 1 (layers 4-7), 3 (layers 12-15) of 4 have no holder",
  ],
  [
    "one is downloaded",
    all.with(
      2,
      holder(2, {
        state: "downloading",
        progress: { doneBytes: 43, sizeBytes: 99 },
      }),
    ),
    "shard 2 of 4 is being downloaded by …number-2, 43 %",
  ],
  [
    "one is loaded",
    all.with(2, holder(2, { state: "loading" })),
    "shard 2 of 4 is being loaded by …number-2",
  ],
  [
    "one leaves",
    all.with(2, holder(2, { state: "draining" })),
    "shard 2 of 4 has only …number-2, which is leaving",
  ],
  [
    "one is loaded and another has none",
    all.with(1, holder(1, { state: "loading" })).toSpliced(3, 1),
    "shard 3 of 4 (layers 12-15) has no holder",
  ],
  [
    "ranges do not chain",
    all.with(1, holder(1, { layerStart: 5, layerEnd: 8 })),
    "the available shards do not fit together",
  ],
  ["nobody is there", [], "no node has joined the cluster"],
];
for (const [name, announcements, reason] of reasons) {
  test(`the reason where ${name}`, () => {
    assert.equal(statusOf(announcements).reason, reason);
  });
}

/** "index: first layer-last layer" of each shard; "?" if unknown. */
function layersIn(status: ClusterStatus): string[] {
  return status.shards.map(({ index, layerStart, layerEnd }) =>
    layerEnd > layerStart
      ? `${index}: ${layerStart}-${layerEnd - 1}`
      : `${index}: ?`,
  );
}

test("each absent shard has its own layers, or none where they cannot be known", () => {
  const first = { layerCount: 8, shard: { index: 0, count: 8 } };
  const oneEach = statusOf([holder(0, { ...first, layerEnd: 1 })]);
  assert.deepEqual(
    layersIn(oneEach),
    [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `${i}: ${i}-${i}`),
  );
  assert.equal(oneEach.reason, "shards 1-7 of 8 (layers 1-7) have no holder");
  assert.deepEqual(oneEach.missing, [1, 2, 3, 4, 5, 6, 7]);
  const known = ["0: 0-3", "1: 4-7", "2: 8-11", "3: 12-15"];
  assert.deepEqual(layersIn(statusOf(all.toSpliced(1, 1))), known);
  assert.deepEqual(layersIn(statusOf([all[1]!, all[3]!])), known);
  assert.deepEqual(layersIn(statusOf(all.toSpliced(1, 2))), [
    "0: 0-3",
    "1: ?",
    "2: ?",
    "3: 12-15",
  ]);
  const plan = [0, 4, 9, 12].map((layerStart, i) => ({
    layerStart,
    layerEnd: [4, 9, 12, 16][i]!,
  }));
  const gap = all.toSpliced(1, 2);
  assert.deepEqual(layersIn(statusOf(gap, undefined, () => plan)), [
    "0: 0-3",
    "1: 4-8",
    "2: 9-11",
    "3: 12-15",
  ]);
  const none = statusOf([], { manifest: "m", model: "demo", shards: 2 });
  assert.deepEqual(layersIn(none), ["0: ?", "1: ?"]);
});

test("every shard of the plan has a line, its best state in it", () => {
  const status = statusOf([
    ...all.toSpliced(2, 1),
    holder(1, { peer: "q", state: "loading" }),
    holder(2, { state: "downloading" }),
  ]);
  assert.deepEqual(
    status.shards.map((s) => [s.index, s.state, s.loaded, s.holders]),
    [
      [0, "local", 1, 1],
      [1, "loaded", 1, 2],
      [2, "downloading", 0, 1],
      [3, "loaded", 1, 1],
    ],
  );
  assert.deepEqual(status.missing, [2]);
  assert.equal(status.members[0]?.sinceMs, 7);
  assert.equal(status.members[0]?.heardMs, 9);
});

test("a published plan that nobody holds yet is shown", () => {
  const status = statusOf([], { manifest: "m", model: "demo", shards: 2 });
  assert.equal(status.reason, "no node holds a shard of demo yet");
  assert.deepEqual(
    [status.shardCount, status.missing, status.shards.map((s) => s.state)],
    [2, [0, 1], ["offline", "offline"]],
  );
});

test("a status larger than a reply is cut until it fits; the original is unchanged", () => {
  const long = "x".repeat(500);
  const one = statusOf([
    holder(0, { addresses: Array.from({ length: 16 }, () => long) }),
  ]);
  const [member] = one.members;
  assert.ok(member);
  const members = Array.from({ length: 2048 }, () => member);
  const status: NodeStatus = {
    v: 1,
    role: "rendezvous",
    version: "0",
    peer: "p",
    addresses: [],
    startedMs: 0,
    nowMs: 0,
    ready: true,
    reason: null,
    process: { memoryBytes: 0, cpuSeconds: 0, threads: null },
    api: null,
    shards: [],
    givenUp: [],
    connections: [],
    clusters: [{ ...one, members }],
    plan: null,
    torrents: null,
    sessions: null,
    dht: { peers: 0, records: null, provided: 0, selfTest: null, lookups: [] },
  };
  const cut = nodeStatusThatFits(status);
  assert.ok(Buffer.byteLength(JSON.stringify(cut)) <= MAX_STATUS_BYTES);
  assert.ok((cut.clusters[0]?.members.length ?? 0) > 100);
  assert.equal(status.clusters[0]?.members.length, 2048);
  nodeStatusSchema.parse(cut);
});
