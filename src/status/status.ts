/**
 * What a role knows of itself and of its clusters, as plain data: one shape for the command GET_NODE_STATUS, for `/api/v1/status`, the
 * page, `shoal status` and the report in the log. Unknown is null, never a made-up number. No prompt, no secret, no full path.
 *
 * Bounds: lists are cut by whoever makes them, and refused beyond by whoever reads them.
 */
import { z } from "zod";

export const NODE_STATES = [
  "joining",
  "downloading",
  "loading",
  "ready",
  "draining",
  "gone",
] as const;
export type NodeState = (typeof NODE_STATES)[number];

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

/** Of bytes that are on their way. */
const Progress = z.object({ doneBytes: count, sizeBytes: count });

/** A shard of this node. */
export const OwnShardStatus = z.object({
  index: count,
  count,
  layerStart: count,
  layerEnd: count,
  manifest: text,
  model: text,
  state: z.enum(NODE_STATES),
  sizeBytes: count.nullable(),
  /** Resident memory of its engine. */
  memoryBytes: count.nullable(),
  contextLength: count.nullable(),
  /** While it is fetched. */
  progress: Progress.nullable(),
  sessions: z.object({ active: count, max: count }),
  msPerToken: ms.nullable(),
  /** Taken on since nobody else held it; given back when others do. */
  adopted: z.boolean(),
});
export type OwnShardStatus = z.infer<typeof OwnShardStatus>;

export const ConnectionStatus = z.object({
  peer,
  transport: z.string().max(16),
  relayed: z.boolean(),
  /** Without the peer's id. */
  address: text,
  direction: z.enum(["inbound", "outbound"]),
  sinceMs: ms,
  roundTripMs: ms.nullable(),
});

export type ConnectionStatus = z.infer<typeof ConnectionStatus>;

/** A holder of a shard, by its announcement. */
export const MemberStatus = z.object({
  peer,
  shard: count,
  layerStart: count,
  layerEnd: count,
  manifest: text,
  state: z.enum(NODE_STATES),
  addresses: z.array(text).max(16),
  sessions: z.object({ active: count, max: count }),
  msPerToken: ms.nullable(),
  memoryBytes: count.nullable(),
  progress: Progress.nullable(),
  version: z.string().max(32),
  /** When its last announcement was signed, by its clock. */
  issuedMs: ms,
  /** Since when this node knows of it. */
  sinceMs: ms,
  /** Peers it is connected to: the last eight characters of their ids, 16 at most. */
  links: z.array(z.string().max(16)).max(16),
});
export type MemberStatus = z.infer<typeof MemberStatus>;

/** The words of the report, best first. */
const SHARD_STATES = [
  "local",
  "loaded",
  "online",
  "downloading",
  "offline",
] as const;

export const ShardStatus = z.object({
  index: count,
  layerStart: count,
  layerEnd: count,
  state: z.enum(SHARD_STATES),
  /** Holders that are ready, and all of them. */
  loaded: count,
  holders: count,
});
export type ShardStatus = z.infer<typeof ShardStatus>;

export const ClusterStatus = z.object({
  cluster: text,
  model: text.nullable(),
  manifest: text.nullable(),
  layerCount: count.nullable(),
  shardCount: count.nullable(),
  complete: z.boolean(),
  ready: z.boolean(),
  /** The one reason why it is not ready. */
  reason: text.nullable(),
  /** Numbers of the shards without a ready holder. */
  missing: z.array(count).max(STATUS_LIMITS.shards),
  /** Every shard of the plan, also those nobody holds. */
  shards: z.array(ShardStatus).max(STATUS_LIMITS.shards),
  members: z.array(MemberStatus).max(STATUS_LIMITS.members),
  /** Announcements refused since the start, by reason. */
  refused: z.record(z.string().max(32), count),
});
export type ClusterStatus = z.infer<typeof ClusterStatus>;

export const TorrentStatus = z.object({
  contents: z
    .array(
      z.object({
        root: text,
        name: text,
        kind: z.string().max(16),
        sizeBytes: count,
        /** Fraction of it that is here, 0 to 1; null where none is expected to be (an index of who has what). */
        have: z.number().min(0).max(1).nullable(),
        /** Of this node's own shards. */
        primary: z.boolean(),
        /** Who has all of it, as far as is known here. */
        holders: count.nullable(),
        /** Copies to keep. */
        target: count.nullable(),
      }),
    )
    .max(STATUS_LIMITS.contents),
  transfers: z
    .array(
      z.object({
        root: text,
        name: text,
        direction: z.enum(["up", "down"]),
        doneBytes: count,
        sizeBytes: count,
        bytesPerSecond: ms,
        /** Sources of a download, peers of an upload. */
        peers: count,
      }),
    )
    .max(STATUS_LIMITS.transfers),
  /** All there is; the list may be cut. */
  contentCount: count,
  uploadedBytes: count,
  downloadedBytes: count,
  /** Of the last seconds, all transfers together. */
  uploadBytesPerSecond: ms,
  downloadBytesPerSecond: ms,
  /** Peers that have a stream open to be served. */
  uploadPeers: count,
});
export type TorrentStatus = z.infer<typeof TorrentStatus>;

/** One request, without a word of its text. */
export const SessionStatus = z.object({
  id: z.string().max(64),
  startedMs: ms,
  endedMs: ms.nullable(),
  state: z.enum(["queued", "prefill", "decode", "done", "cancelled", "failed"]),
  error: z.string().max(64).nullable(),
  promptTokens: count.nullable(),
  tokens: count,
  tokensPerSecond: ms.nullable(),
  timeToFirstTokenMs: ms.nullable(),
  /** Median from one token to the next. */
  msPerToken: ms.nullable(),
  /** What of it no stage computed or queued: the wire and the software between. */
  restMs: ms.nullable(),
  route: z
    .array(
      z.object({
        peer,
        layerStart: count,
        layerEnd: count,
        /** Medians over this session's last tokens. */
        computeMs: ms.nullable(),
        queueMs: ms.nullable(),
        /** To the next stage: half of what the token's frame and its echo take. */
        wireMs: ms.nullable(),
      }),
    )
    .max(256),
});
export type SessionStatus = z.infer<typeof SessionStatus>;

export const DhtStatus = z.object({
  /** Peers in the routing table. */
  peers: count,
  /** Records kept for others, and contents provided by this node. */
  records: count.nullable(),
  provided: count,
  /** The put and get through a second identity, at the start of a rendezvous. */
  selfTest: z.enum(["passed", "failed"]).nullable(),
  lookups: z
    .array(
      z.object({
        timeMs: ms,
        what: text,
        /** In words: who was asked and what they said. */
        outcome: text,
        asked: count,
        found: count,
        tookMs: ms,
      }),
    )
    .max(STATUS_LIMITS.lookups),
});
export type DhtStatus = z.infer<typeof DhtStatus>;

export const NodeStatus = z.object({
  v: z.literal(1),
  role: z.enum(["rendezvous", "node", "gateway", "seeder"]),
  version: z.string().max(32),
  peer,
  addresses: z.array(text).max(64),
  startedMs: ms,
  nowMs: ms,
  /** What /ready says, and the one reason why not. */
  ready: z.boolean(),
  reason: text.nullable(),
  process: z.object({
    memoryBytes: count,
    cpuSeconds: ms,
    threads: count.nullable(),
  }),
  /** Where prompts can be asked, if known. */
  api: text.nullable(),
  shards: z.array(OwnShardStatus).max(64),
  connections: z.array(ConnectionStatus).max(STATUS_LIMITS.connections),
  clusters: z.array(ClusterStatus).max(STATUS_LIMITS.clusters),
  /** Null where the role has none. */
  torrents: TorrentStatus.nullable(),
  sessions: z
    .object({
      active: count,
      max: count,
      /** Since the start. */
      total: count,
      failed: count,
      tokens: count,
      recent: z.array(SessionStatus).max(STATUS_LIMITS.sessions),
    })
    .nullable(),
  dht: DhtStatus,
});
export type NodeStatus = z.infer<typeof NodeStatus>;
