/**
 * How fast does a swarm learn of itself, and what does that cost, at 10 to 1,000 nodes? The real gossip, records, mesh, view, placement and takeovers
 * in virtual time, without sockets; signatures and renewals are not made nor checked, bytes are those of the messages with what frames
 * them, and of the answers to who joins. There is no rendezvous: who joins knows one member. A tenth of the nodes leaves a minute (half of them crash) and as many join.
 *
 *     npm exec -c 'node bench/simulate.ts'             # a JSON line for each size
 *     npm exec -c 'node bench/simulate.ts 100 300 --minutes 1'
 */
import { parseArgs } from "node:util";
import { randomBytes } from "node:crypto";
import { type Announcement, seal } from "../src/cluster/announcement.ts";
import { recordSizes } from "../src/cluster/gossip-wire.ts";
import { createHost } from "../src/network/index.ts";
import { Simulation } from "../test/support/simulation.ts";
import { report, round } from "./support.ts";

/** Virtual, of measuring. A thousand nodes take about a second of computing for each second. */
const minutesOf = (nodes: number): number =>
  Number(values.minutes ?? (nodes > 500 ? 2 : 4));
const { values, positionals } = parseArgs({
  options: { minutes: { type: "string" } },
  allowPositionals: true,
});
const SIZES = positionals.map(Number);
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

function links(): string[] {
  return Array.from({ length: 8 }, () => randomBytes(6).toString("base64url"));
}

function roundTrips(): number[] {
  return [...randomBytes(8)].map((byte) => 4 * byte);
}

/** Of a record like those of a swarm in the wild, and of the next one of the same shard. */
async function recordBytes(): Promise<{ whole: number; change: number }> {
  const host = await createHost();
  const address = (transport: string): string =>
    `/ip4/192.168.100.200/${transport}/p2p/${host.peerId}`;
  const said: Announcement = {
    v: 2,
    cluster: "friends",
    peer: host.peerId,
    manifest: `bafkrei${[...randomBytes(52)].map((byte) => BASE32[byte % 32]).join("")}`,
    model: "Llama 3.3 70B Instruct",
    layerCount: 80,
    layerStart: 40,
    layerEnd: 41,
    shard: { index: 40, count: 80 },
    state: "ready",
    contextLength: 4096,
    batchTokens: 128,
    sessions: { active: 1, max: 4 },
    msPerToken: 12.34,
    memoryBytes: 1_234_567_890,
    capacity: {
      memoryBytes: 34_359_738_368,
      freeMemoryBytes: 12_345_678_901,
      threads: 16,
    },
    kvTokens: { free: 12_032, total: 16_384 },
    engine: "llama.cpp v0.5.0 on CPU AVX2",
    links: links(),
    roundTrips: roundTrips(),
    renewal: randomBytes(16),
    addresses: [
      address("udp/51820/quic-v1"),
      address("tcp/51820"),
      address("udp/51820/quic-v1"),
      address("tcp/51820"),
    ],
    version: "0.1.0",
    seq: 1_800_123_456_789,
    issuedMs: 1_800_123_456_789,
    ttlMs: 60_000,
  };
  const next: Announcement = {
    ...said,
    state: "loading",
    sessions: { active: 2, max: 4 },
    msPerToken: 23.45,
    kvTokens: { free: 4_096, total: 16_384 },
    links: [...(said.links ?? []).slice(0, 6), ...links().slice(0, 2)],
    roundTrips: roundTrips(),
    renewal: randomBytes(16),
    seq: 1_800_123_487_654,
    issuedMs: 1_800_123_487_654,
  };
  const sign = (data: Uint8Array): Promise<Uint8Array> => host.sign(data);
  return recordSizes(await seal(next, sign), await seal(said, sign));
}

const size = await recordBytes();
for (const nodes of SIZES.length > 0 ? SIZES : [10, 100, 300, 1_000]) {
  const shards = Math.min(80, Math.ceil(nodes / 2));
  const cpu = process.cpuUsage();
  const result = new Simulation({
    nodes,
    shards,
    minutes: minutesOf(nodes),
    churnPerMinute: 0.1,
    delayMs: [5, 150],
    loss: 0.01,
    seed: 1,
    recordBytes: size,
  }).run();
  const { user, system } = process.cpuUsage(cpu);
  report({
    bench: "simulate",
    nodes,
    shards,
    virtualMinutes: minutesOf(nodes),
    recordBytes: size,
    ...result,
    messagesPerNodeMinute: round(result.messagesPerNodeMinute, 0),
    bytesPerNodeMinute: round(result.bytesPerNodeMinute, 0),
    neighboursPerNode: round(result.neighboursPerNode, 1),
    coverage: round(result.coverage, 4),
    ready: round(result.ready, 4),
    viewsRight: round(result.viewsRight, 4),
    cpuSeconds: round((user + system) / 1e6, 1),
  });
}
