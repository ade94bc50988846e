import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { NodeStatus } from "../status/index.ts";
import { columnsOf } from "../lib/index.ts";
import { REPORT, reportLines } from "./report-lines.ts";
import {
  brokenCluster as broken,
  clusterStatus as cluster,
  nodeStatus as status,
  PEER as ME,
  shardStatus as shard,
} from "../../test/fakes/node-status.ts";

test("the report of a node in a swarm that is not ready", () => {
  assert.equal(
    reportLines(status({ clusters: [broken] }), { width: 86 }).join("\n"),
    `\
Node ${ME}
  Version 0.1.0, up 3 min 12 s
  Shard 0 of 8  layers 0-3  ✓ loaded  13.0 GiB, memory 13.2 GiB, 8.3 ms/token
  Engine: llama.cpp v0.5.0 on CPU
  Requests: 1/4 active, 12 in total, 1 failed, 4321 tokens
Cluster llama-cluster: Llama 3 70B
  Shards:             8 expected, 4 discovered, 2 loaded
  Pipeline complete:  ✗ no
  Swarm ready:        ✗ no: shard 4 of 8 (layers 16-19) has no holder
  Shard 0  layers 0-3    ★ LOCAL             2 holders
  Shard 1  layers 4-7    ✓ ONLINE+LOADED     3 holders, 2 loaded
  Shard 2  layers 8-11   ○ ONLINE            1 holder, 0 loaded
  Shard 3  layers 12-15  ↓ DOWNLOADING 45 %  1 holder, 0 loaded
  Shard 4  layers 16-19  ✗ OFFLINE
  Shard 5  layers 20-23  ✗ OFFLINE
  Shard 6  layers 24-27  ✗ OFFLINE
  Shard 7  layers 28-31  ✗ OFFLINE`,
  );
});

test("alone, a node counts itself", () => {
  const own = cluster([shard(0, "local")]);
  const lines = reportLines(status({ clusters: [own] }));
  assert.ok(
    lines.includes("  Shards:             1 expected, 1 discovered, 1 loaded"),
  );
  assert.ok(lines.includes("  Swarm ready:        ✓ yes"));
});

function connection(
  way: string | null,
  relay: string | null = null,
): NodeStatus["connections"][number] {
  return {
    peer: "12D3KooWpeer",
    transport: "QUIC",
    way,
    relay,
    relayed: relay !== null,
    address: "/ip4/198.18.1.2/udp/51820/quic-v1",
    direction: "outbound",
    sinceMs: 0,
    roundTripMs: null,
  };
}

const tables: readonly {
  name: string;
  status: NodeStatus;
  expected: RegExp[];
  never?: RegExp;
}[] = [
  {
    name: "a rendezvous without a cluster",
    status: status({ role: "rendezvous", shards: [], sessions: null }),
    expected: [/^Rendezvous 12D3/m, /^No cluster is known$/m],
    never: /Requests|Shard:/,
  },
  {
    name: "a node that has no shard yet, and why",
    status: status({ shards: [], ready: false, reason: "no shard fits" }),
    expected: [/^ {2}Shard: none yet$/m, /^ {2}✗ Not ready: no shard fits$/m],
  },
  {
    name: "the ways of its connections, most first",
    status: status({
      connections: [
        connection("relayed", "12D3KooWaaaaZk3dXw1A"),
        connection("direct"),
        connection("LAN"),
        connection("direct"),
        connection(null),
      ],
    }),
    expected: [
      /^ {2}Connections: 2 direct, 1 relayed through …Zk3dXw1A, 1 LAN, 1 by an unknown way$/m,
    ],
  },
  {
    name: "a node that gave a shard up",
    status: status({
      givenUp: [
        {
          index: 5,
          count: 8,
          layerStart: 20,
          layerEnd: 24,
          model: "Llama 3 70B",
          reason: "it failed",
          sinceMs: 1,
          untilMs: 2,
        },
      ],
    }),
    expected: [/^ {2}✗ Gave up shard 5 of 8 \(layers 20-23\): it failed$/m],
  },
  {
    name: "a second shard, taken over and downloading",
    status: status({
      shards: [
        ...status().shards,
        {
          ...status().shards[0]!,
          index: 5,
          layerStart: 20,
          layerEnd: 24,
          state: "downloading",
          progress: { doneBytes: 999, sizeBytes: 1000 },
          memoryBytes: null,
          msPerToken: null,
          takenOver: true,
        },
      ],
    }),
    expected: [
      /^ {2}Shard 5 of 8 {2}layers 20-23 {2}↓ downloading 99 % {2}13\.0 GiB, taken over$/m,
    ],
  },
  {
    name: "a cluster whose plan nobody knows",
    status: status({
      clusters: [
        cluster([], {
          model: null,
          shardCount: null,
          layerCount: null,
          complete: false,
          ready: false,
          reason: "no node has joined the cluster",
        }),
      ],
    }),
    expected: [
      /^Cluster llama-cluster: no model yet$/m,
      /\? expected, 0 discovered, 0 loaded/,
      /✗ no: no node has joined the cluster/,
    ],
  },
  {
    name: "members that compute with different engines",
    status: status({
      clusters: [cluster([shard(0, "loaded")], { mixed: "not all the same" })],
    }),
    expected: [/^ {2}Engines: +not all the same$/m],
  },
  {
    name: "layers that nobody knows, and a single one",
    status: status({
      clusters: [
        cluster([
          shard(0, "offline", { layerStart: 0, layerEnd: 0 }),
          shard(1, "loaded", { layerStart: 3, layerEnd: 4 }),
        ]),
      ],
    }),
    expected: [/Shard 0 {2}layers \? {2}✗ OFFLINE$/m, /Shard 1 {2}layer 3 /],
  },
  {
    name: "more clusters than are shown in full",
    status: status({
      role: "rendezvous",
      clusters: Array.from({ length: REPORT.clusters + 3 }, (_, i) =>
        cluster([shard(0, i % 2 === 0 ? "loaded" : "offline")]),
      ),
    }),
    expected: [/^and 3 more clusters, 2 of them ready$/m],
  },
];

for (const { name, status, expected, never } of tables) {
  test(`the report of ${name}`, () => {
    const text = reportLines(status).join("\n");
    for (const line of expected) assert.match(text, line);
    if (never !== undefined) assert.doesNotMatch(text, never);
  });
}

test("of 80 shards, adjacent ones in the same state share a line", () => {
  const shards = Array.from({ length: 80 }, (_, i) => {
    if (i === 7) return shard(i, "local", { holders: 2, loaded: 2 });
    if (i === 40) return shard(i, "downloading", { holders: 2 });
    if (i >= 60 && i < 63) return shard(i, "offline");
    return shard(i, "loaded", { holders: 1 + (i % 3), loaded: 1 + (i % 3) });
  });
  const lines = reportLines(status({ clusters: [cluster(shards)] }));
  assert.deepEqual(lines.slice(-7), [
    "  Shards 0 to 6    layers 0-27     ✓ ONLINE+LOADED  1 to 3 holders",
    "  Shard 7          layers 28-31    ★ LOCAL          2 holders",
    "  Shards 8 to 39   layers 32-159   ✓ ONLINE+LOADED  1 to 3 holders",
    "  Shard 40         layers 160-163  ↓ DOWNLOADING    2 holders, 0 loaded",
    "  Shards 41 to 59  layers 164-239  ✓ ONLINE+LOADED  1 to 3 holders",
    "  Shards 60 to 62  layers 240-251  ✗ OFFLINE",
    "  Shards 63 to 79  layers 252-319  ✓ ONLINE+LOADED  1 to 3 holders",
  ]);
});

test("of shards in alternating states, the important ones are shown and the others counted", () => {
  const shards = Array.from({ length: 90 }, (_, i) =>
    shard(
      i,
      i === 88
        ? "local"
        : i % 30 === 1
          ? "offline"
          : i % 2 === 0
            ? "online"
            : "loaded",
    ),
  );
  const lines = reportLines(status({ clusters: [cluster(shards)] }));
  const told = lines.filter((line) => /^ {2}Shard \d+ {2}/.test(line));
  assert.equal(told.length, REPORT.shardLines - 1);
  assert.equal(told.filter((line) => line.includes("OFFLINE")).length, 3);
  assert.ok(told.some((line) => line.includes("LOCAL")));
  assert.equal(lines.at(-1), "  and 67 more: 25 ○ ONLINE, 42 ✓ ONLINE+LOADED");
});

test("with colours, in ASCII, and in both the report says the same in the same columns", () => {
  const full = status({ clusters: [broken] });
  const plain = reportLines(full, { width: 86 });
  const ascii = reportLines(full, { width: 86, ascii: true });
  const both = reportLines(full, { width: 86, ascii: true, color: true });
  const color = reportLines(full, { width: 86, color: true });
  assert.deepEqual(plain.map(columnsOf), ascii.map(columnsOf));
  assert.deepEqual(plain.map(columnsOf), color.map(columnsOf));
  assert.deepEqual(plain.map(columnsOf), both.map(columnsOf));
  assert.notDeepEqual(color, plain);
  assert.ok(Buffer.from(both.join("")).every((byte) => byte < 128));
  assert.match(ascii.join("\n"), /x OFFLINE/);
});

test("another node's text cannot command the terminal", () => {
  const evil = "\u001B[2J\n12:00:00.000 info [SWARM] ready";
  const lines = reportLines(
    status({
      reason: evil,
      ready: false,
      version: "\u001B]0;",
      clusters: [cluster([], { cluster: evil, model: evil, reason: evil })],
    }),
  );
  assert.doesNotMatch(lines.join(""), /\p{Cc}/u);
});

test("property: never more lines for shards than a screen has, and every shard is shown or counted", () => {
  const states = fc.array(
    fc.constantFrom("local", "loaded", "online", "downloading", "offline"),
    { maxLength: 300 },
  );
  fc.assert(
    fc.property(states, (all) => {
      const shards = all.map((state, i) => shard(i, state));
      const lines = reportLines(status({ clusters: [cluster(shards)] }));
      const own = lines.slice(
        lines.findIndex((l) => l.includes("Swarm ready")) + 1,
      );
      assert.ok(own.length <= REPORT.shardLines);
      const told = own.reduce((sum, line) => {
        const [, first, last] = /Shards? (\d+)(?: to (\d+))?/.exec(line) ?? [];
        const [, more] = /and (\d+) more/.exec(line) ?? [];
        if (more !== undefined) return sum + Number(more);
        return (
          sum + (last === undefined ? 1 : Number(last) - Number(first) + 1)
        );
      }, 0);
      assert.equal(told, all.length);
    }),
  );
});
