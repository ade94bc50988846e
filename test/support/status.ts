/** A role's status with any number of members, for tests of its readers. */
import type {
  ClusterStatus,
  MemberStatus,
  NodeStatus,
} from "../../src/status/index.ts";

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** As long as a real one, and the same for the same number. */
export function peerOf(i: number): string {
  let [id, value] = ["", i * 2_654_435_761 + 97];
  for (let n = 0; n < 44; n++) {
    value = (value * 48_271 + 11) % 2_147_483_647;
    id += BASE58[value % 58];
  }
  return `12D3KooW${id}`;
}

function memberOf(i: number, shards: number, nowMs: number): MemberStatus {
  const shard = i % shards;
  return {
    peer: peerOf(i),
    shard,
    layerStart: shard * 4,
    layerEnd: shard * 4 + 4,
    manifest: "bafyreigh2akiscaildc",
    state: i % 17 === 16 ? "downloading" : "ready",
    addresses: [
      `/ip4/10.0.${i >> 8}.${i & 255}/udp/51820/quic-v1`,
      `/ip4/10.0.${i >> 8}.${i & 255}/tcp/51820`,
    ],
    sessions: { active: i % 4, max: 4 },
    msPerToken: 3 + (i % 7),
    memoryBytes: (512 + (i % 9) * 64) * 2 ** 20,
    engine: `llama.cpp v0.5.0 on ${i % 5 === 4 ? "CUDA0 NVIDIA L4" : "CPU"}`,
    progress:
      i % 17 === 16 ? { doneBytes: 40_000_000, sizeBytes: 90_000_000 } : null,
    version: "0.1.0",
    issuedMs: nowMs - 1_000 * (i % 20),
    heardMs: nowMs - 1_000 * (i % 20),
    sinceMs: nowMs - 60_000 * (i + 1),
    clockAheadMs: 0,
    rivalAddresses: null,
    links: Array.from({ length: 16 }, (_, k) =>
      peerOf((i + k * k + 1) % 200).slice(-8),
    ),
    roundTripsMs: Array.from({ length: 16 }, (_, k) =>
      k % 5 === 4 ? null : (1 + ((i + k) % 300)) / 10,
    ),
  };
}

function clusterOf(
  members: number,
  shards: number,
  nowMs: number,
): ClusterStatus {
  const all = Array.from({ length: members }, (_, i) =>
    memberOf(i, shards, nowMs),
  );
  return {
    cluster: "friends",
    model: "shoal-demo",
    manifest: "bafyreigh2akiscaildc",
    layerCount: shards * 4,
    shardCount: shards,
    complete: true,
    ready: true,
    reason: null,
    missing: [],
    shards: Array.from({ length: shards }, (_, index) => {
      const held = all.filter(({ shard }) => shard === index);
      const loaded = held.filter(({ state }) => state === "ready").length;
      return {
        index,
        layerStart: index * 4,
        layerEnd: index * 4 + 4,
        state: loaded > 0 ? ("loaded" as const) : ("offline" as const),
        loaded,
        holders: held.length,
      };
    }),
    members: all,
    refused: { forged: 1 },
    mixed:
      "the nodes compute with different engines, so a reply may differ from one machine's: llama.cpp v0.5.0 on CPU, llama.cpp v0.5.0 on CUDA NVIDIA L4",
    clocks: null,
  };
}

export function statusOf(
  members: number,
  shards: number,
  nowMs: number = Date.now(),
): NodeStatus {
  return {
    v: 1,
    role: "rendezvous",
    version: "0.1.0",
    peer: peerOf(100_000),
    addresses: ["/ip4/10.0.0.1/udp/51820/quic-v1"],
    startedMs: nowMs - 3_600_000,
    nowMs,
    ready: true,
    reason: null,
    process: { memoryBytes: 150 * 2 ** 20, cpuSeconds: 12.5, threads: null },
    api: null,
    shards: [],
    givenUp: [],
    connections: Array.from({ length: members }, (_, i) => ({
      peer: peerOf(i),
      transport: i % 3 === 0 ? "TCP" : "QUIC",
      way: "LAN",
      relay: null,
      relayed: false,
      address: `/ip4/10.0.${i >> 8}.${i & 255}/udp/51820/quic-v1`,
      direction: "inbound",
      sinceMs: nowMs - 60_000 * (i + 1),
      roundTripMs: 0.4 + (i % 50) / 10,
    })),
    clusters: [clusterOf(members, shards, nowMs)],
    plan: null,
    torrents: null,
    sessions: null,
    dht: {
      peers: members,
      records: 40,
      provided: 0,
      selfTest: "passed",
      lookups: [],
    },
  };
}
