/** For tests: what a node of a swarm of eight shards says of itself. */
import {
  type ClusterStatus,
  type NodeStatus,
  nodeStatusSchema,
} from "../../src/status/index.ts";

const GiB = 1024 ** 3;
export const PEER = "12D3KooWLc2gCgHfwhTLciZDnD6TfJ6e8UtwrVyRpvKtPQwtL8wa";

type Shard = ClusterStatus["shards"][number];
const layersEach = 4;
export function shardStatus(
  index: number,
  state: Shard["state"],
  changes: Partial<Shard> = {},
): Shard {
  const isHeld = state !== "offline";
  const isLoaded = state === "local" || state === "loaded";
  return {
    index,
    layerStart: index * layersEach,
    layerEnd: (index + 1) * layersEach,
    state,
    loaded: isLoaded ? 1 : 0,
    holders: isHeld ? 1 : 0,
    ...changes,
  };
}

export function clusterStatus(
  shards: Shard[],
  changes: Partial<ClusterStatus> = {},
): ClusterStatus {
  return {
    cluster: "llama-cluster",
    model: "Llama 3 70B",
    manifest: "m",
    layerCount: shards.length * layersEach,
    shardCount: shards.length,
    complete: shards.every((s) => s.holders > 0),
    ready: shards.every((s) => s.loaded > 0),
    reason: null,
    missing: shards.filter((s) => s.loaded === 0).map((s) => s.index),
    shards,
    members: [],
    refused: {},
    mixed: null,
    clocks: null,
    ...changes,
  };
}

/** Of a node with shard 0, seen by the schema that all readers use. */
export function nodeStatus(changes: Partial<NodeStatus> = {}): NodeStatus {
  return nodeStatusSchema.parse({
    v: 1,
    role: "node",
    version: "0.1.0",
    peer: PEER,
    addresses: [],
    startedMs: 1_000_000,
    nowMs: 1_000_000 + 192_000,
    ready: true,
    reason: null,
    process: { memoryBytes: GiB, cpuSeconds: 1, threads: 2 },
    api: null,
    shards: [
      {
        index: 0,
        count: 8,
        layerStart: 0,
        layerEnd: 4,
        manifest: "m",
        model: "Llama 3 70B",
        state: "ready",
        sizeBytes: 13_937_168_876,
        memoryBytes: 14_173_392_077,
        engine: "llama.cpp v0.5.0 on CPU",
        contextLength: 4096,
        progress: null,
        sessions: { active: 1, max: 4 },
        msPerToken: 8.3,
        takenOver: false,
      },
    ],
    givenUp: [],
    connections: [],
    clusters: [],
    plan: null,
    torrents: null,
    sessions: {
      active: 1,
      max: 4,
      total: 12,
      failed: 1,
      tokens: 4321,
      recent: [],
    },
    dht: {
      peers: 1,
      records: null,
      provided: 0,
      selfTest: null,
      lookups: [],
    },
    ...changes,
  } satisfies NodeStatus);
}

/** Of eight shards two are loaded, one is downloaded by two nodes, four have nobody. */
export const brokenCluster = clusterStatus(
  [
    shardStatus(0, "local", { holders: 2, loaded: 2 }),
    shardStatus(1, "loaded", { holders: 3, loaded: 2 }),
    shardStatus(2, "online"),
    shardStatus(3, "downloading"),
    ...[4, 5, 6, 7].map((i) => shardStatus(i, "offline")),
  ],
  {
    reason: "shard 4 of 8 (layers 16-19) has no holder",
    members: [0.2, 0.456].map((part, i) => ({
      peer: `p${i}`,
      shard: 3,
      layerStart: 12,
      layerEnd: 16,
      manifest: "m",
      state: "downloading",
      addresses: [],
      sessions: { active: 0, max: 4 },
      msPerToken: null,
      memoryBytes: null,
      engine: null,
      progress: { doneBytes: Math.floor(part * GiB), sizeBytes: GiB },
      version: "0.1.0",
      issuedMs: 0,
      heardMs: 0,
      sinceMs: 0,
      clockAheadMs: null,
      rivalAddresses: null,
      links: [],
      roundTripsMs: [],
    })),
  },
);
