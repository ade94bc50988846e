/** What `shoal status --routes` prints: the best route with its prediction in parts, and sessions predicted against seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterStatus, MemberStatus } from "../status/index.ts";
import { clusterStatus, shardStatus } from "../../test/fakes/node-status.ts";
import { clusterRoute, routeLines } from "./route-lines.ts";

const [A, B, C] = ["a", "b", "c"].map(
  (name) => `12D3KooWpeer${name.repeat(8)}`,
);

function member(
  peer: string,
  layers: [number, number],
  changes: Partial<MemberStatus> = {},
): MemberStatus {
  return {
    peer,
    shard: 0,
    layerStart: layers[0],
    layerEnd: layers[1],
    manifest: "m",
    state: "ready",
    addresses: [],
    sessions: { active: 0, max: 4 },
    msPerToken: 10,
    memoryBytes: null,
    engine: null,
    progress: null,
    version: "0.1.0",
    issuedMs: 0,
    heardMs: 0,
    sinceMs: 0,
    clockAheadMs: null,
    rivalAddresses: null,
    links: [],
    roundTripsMs: [],
    ...changes,
  };
}

function cluster(members: MemberStatus[]): ClusterStatus {
  return {
    ...clusterStatus([shardStatus(0, "loaded")]),
    cluster: "friends",
    manifest: "m",
    layerCount: 8,
    ready: true,
    members,
  };
}

test("the nearer holder is on the route, and each part of the prediction is said", () => {
  const links = (peers: string[]): string[] => peers.map((p) => p.slice(-8));
  const route = clusterRoute(
    cluster([
      member(A!, [0, 4], { links: links([B!, C!]), roundTripsMs: [40, 4] }),
      member(B!, [4, 8], { links: links([A!]), roundTripsMs: [40] }),
      member(C!, [4, 8], { links: links([A!]), roundTripsMs: [4] }),
    ]),
  );
  // Half the round trip, and what a hop takes besides.
  assert.deepEqual(
    route.stages.map(({ peer, computeMs, queueMs, wireMs }) => ({
      peer,
      computeMs,
      queueMs,
      wireMs,
    })),
    [A, C].map((peer) => ({ peer, computeMs: 10, queueMs: 0, wireMs: 2.6 })),
  );
  const lines = routeLines([route], null);
  assert.match(
    lines[0]!,
    /^Route of cluster friends: [\d.]+ ms a token predicted$/,
  );
  assert.equal(
    lines[1],
    "  layers 0-3 …aaaaaaaa: compute 10.0 ms, queue 0.0 ms, to the next 2.6 ms",
  );
  assert.equal(lines.length, 3);
});

test("what is estimated is marked, and a cluster without a route says so", () => {
  const estimated = clusterRoute(
    cluster([member(A!, [0, 8], { msPerToken: null })]),
  );
  assert.match(routeLines([estimated], null).join("\n"), /compute ~[\d.]+ ms/);
  const none = clusterRoute(cluster([member(A!, [0, 4])]));
  assert.deepEqual(routeLines([none], null), [
    "Route of cluster friends: none, it is not ready",
  ]);
});
