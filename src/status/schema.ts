/** Schemas for the shapes of types.ts, for input from outside. The sender cuts long lists; the reader refuses longer ones. */
import { z } from "zod";
import {
  type ClusterStatus,
  type GivenUpStatus,
  NODE_STATES,
  type NodeStatus,
  type PlanStatus,
  type SessionStatus,
} from "./types.ts";

export const STATUS_LIMITS = Object.freeze({
  clusters: 64,
  shards: 1_024,
  members: 2_048,
  connections: 2_048,
  contents: 1_024,
  transfers: 64,
  sessions: 64,
  lookups: 64,
});

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const ms = z.number().min(0);
const text = z.string().max(512);
const peer = z.string().max(128);
const state = z.enum(NODE_STATES);
const progress = z.object({ doneBytes: count, sizeBytes: count }).nullable();
const sessionCounts = z.object({ active: count, max: count });

const ownShard = z.object({
  index: count,
  count,
  layerStart: count,
  layerEnd: count,
  manifest: text,
  model: text,
  state,
  sizeBytes: count.nullable(),
  memoryBytes: count.nullable(),
  engine: z.string().max(128).nullable(),
  contextLength: count.nullable(),
  progress,
  sessions: sessionCounts,
  msPerToken: ms.nullable(),
  takenOver: z.boolean(),
});

export const givenUpSchema = z.object({
  index: count,
  count,
  layerStart: count,
  layerEnd: count,
  model: text,
  reason: text,
  sinceMs: ms,
  untilMs: ms,
}) satisfies z.ZodType<GivenUpStatus>;

const cut = z.object({
  msPerToken: ms.nullable(),
  stages: z
    .array(
      z.object({
        layerStart: count,
        layerEnd: count,
        computeMs: ms.nullable(),
      }),
    )
    .max(STATUS_LIMITS.shards),
});

const plan = z.object({
  cluster: text,
  manifest: text,
  model: text,
  version: count,
  sessions: ms,
  now: cut,
  better: cut.nullable(),
  reason: text.nullable(),
  gain: z.number().nullable(),
  enough: z.number(),
  enoughForMs: ms.nullable(),
  moveAfterMs: ms,
  restsMs: ms,
  moving: count.nullable(),
  machines: z
    .array(
      z.object({
        peer,
        stage: count,
        layerStart: count,
        layerEnd: count,
        thenStart: count,
        thenEnd: count,
        fetches: count,
        msPerToken: ms.nullable(),
        move: z.enum(["auto", "ask", "off"]),
      }),
    )
    .max(STATUS_LIMITS.members),
}) satisfies z.ZodType<PlanStatus>;

const connection = z.object({
  peer,
  transport: z.string().max(16),
  // Processes of before do not tell.
  way: z.string().max(16).nullable().default(null),
  relay: peer.nullable().default(null),
  relayed: z.boolean(),
  address: text,
  direction: z.enum(["inbound", "outbound"]),
  sinceMs: ms,
  roundTripMs: ms.nullable(),
});

const member = z.object({
  peer,
  shard: count,
  layerStart: count,
  layerEnd: count,
  manifest: text,
  state,
  addresses: z.array(text).max(16),
  sessions: sessionCounts,
  msPerToken: ms.nullable(),
  memoryBytes: count.nullable(),
  engine: z.string().max(128).nullable(),
  progress,
  version: z.string().max(32),
  issuedMs: ms,
  heardMs: ms,
  sinceMs: ms,
  clockAheadMs: z.number().nullable(),
  rivalAddresses: z.array(text).max(16).nullable(),
  links: z.array(z.string().max(16)).max(16),
  roundTripsMs: z.array(ms.nullable()).max(16),
});

const shard = z.object({
  index: count,
  layerStart: count,
  layerEnd: count,
  state: z.enum(["local", "loaded", "online", "downloading", "offline"]),
  loaded: count,
  holders: count,
});

export const clusterStatusSchema = z.object({
  cluster: text,
  model: text.nullable(),
  manifest: text.nullable(),
  layerCount: count.nullable(),
  shardCount: count.nullable(),
  complete: z.boolean(),
  ready: z.boolean(),
  reason: text.nullable(),
  missing: z.array(count).max(STATUS_LIMITS.shards),
  shards: z.array(shard).max(STATUS_LIMITS.shards),
  members: z.array(member).max(STATUS_LIMITS.members),
  refused: z.record(z.string().max(32), count),
  mixed: text.nullable(),
  clocks: text.nullable(),
}) satisfies z.ZodType<ClusterStatus>;

const content = z.object({
  root: text,
  name: text,
  kind: z.string().max(16),
  sizeBytes: count,
  have: z.number().min(0).max(1).nullable(),
  primary: z.boolean(),
  holders: count.nullable(),
  target: count.nullable(),
});

const transfer = z.object({
  root: text,
  name: text,
  direction: z.enum(["up", "down"]),
  doneBytes: count,
  sizeBytes: count,
  bytesPerSecond: ms,
  peers: count,
});

const torrents = z.object({
  contents: z.array(content).max(STATUS_LIMITS.contents),
  transfers: z.array(transfer).max(STATUS_LIMITS.transfers),
  contentCount: count,
  uploadedBytes: count,
  downloadedBytes: count,
  uploadBytesPerSecond: ms,
  downloadBytesPerSecond: ms,
  uploadPeers: count,
});

const stage = z.object({
  peer,
  layerStart: count,
  layerEnd: count,
  computeMs: ms.nullable(),
  queueMs: ms.nullable(),
  wireMs: ms.nullable(),
  direct: z.boolean().nullable(),
  predicted: z.object({ computeMs: ms, queueMs: ms, wireMs: ms }).nullable(),
});

export const sessionStatusSchema = z.object({
  id: z.string().max(64),
  startedMs: ms,
  endedMs: ms.nullable(),
  state: z.enum([
    "queued",
    "prefill",
    "decode",
    "waiting",
    "done",
    "cancelled",
    "failed",
  ]),
  waitingFor: text.nullable(),
  error: z.string().max(64).nullable(),
  promptTokens: count.nullable(),
  tokens: count,
  cachedTokens: count,
  recoveries: count,
  recomputed: z.boolean(),
  tokensPerSecond: ms.nullable(),
  queuedMs: ms.nullable(),
  timeToFirstTokenMs: ms.nullable(),
  msPerToken: ms.nullable(),
  predictedMsPerToken: ms.nullable(),
  restMs: ms.nullable(),
  route: z.array(stage).max(256),
}) satisfies z.ZodType<SessionStatus>;

const lookup = z.object({
  timeMs: ms,
  what: text,
  outcome: text,
  asked: count,
  found: count,
  tookMs: ms,
});

const dht = z.object({
  peers: count,
  records: count.nullable(),
  provided: count,
  selfTest: z.enum(["passed", "failed"]).nullable(),
  lookups: z.array(lookup).max(STATUS_LIMITS.lookups),
});

export const nodeStatusSchema = z.object({
  v: z.literal(1),
  role: z.enum(["rendezvous", "node", "gateway", "seeder"]),
  version: z.string().max(32),
  peer,
  addresses: z.array(text).max(64),
  startedMs: ms,
  nowMs: ms,
  ready: z.boolean(),
  reason: text.nullable(),
  process: z.object({
    memoryBytes: count,
    cpuSeconds: ms,
    threads: count.nullable(),
  }),
  api: text.nullable(),
  shards: z.array(ownShard).max(64),
  givenUp: z.array(givenUpSchema).max(64),
  connections: z.array(connection).max(STATUS_LIMITS.connections),
  clusters: z.array(clusterStatusSchema).max(STATUS_LIMITS.clusters),
  plan: plan.nullable(),
  torrents: torrents.nullable(),
  sessions: z
    .object({
      active: count,
      max: count,
      total: count,
      failed: count,
      tokens: count,
      recent: z.array(sessionStatusSchema).max(STATUS_LIMITS.sessions),
    })
    .nullable(),
  dht,
}) satisfies z.ZodType<NodeStatus>;
