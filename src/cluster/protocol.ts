/** The commands of the cluster: names and schemas, validated on both sides. docs/PROTOCOL.md lists them. */
import { z } from "zod";
import { Sealed, ToldCut } from "./announcement.ts";
import {
  clusterStatusSchema,
  nodeStatusSchema,
  STATUS_LIMITS,
} from "../status/index.ts";

const cluster = z.string().min(1).max(128);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** node → rendezvous or member: announces the sender; answered with the number of members. `nowMs` is the answering machine's clock. */
export const ANNOUNCE = {
  name: "ANNOUNCE",
  params: z.object({ cluster, sealed: Sealed }),
  result: z.object({ members: z.number().int().min(0), nowMs: count }),
} as const;

/**
 * anyone → member or rendezvous: who is in this cluster? With `subscribe`, the two gossip while they are connected. Answered with a page: a
 * gossip message with the records from `offset` on, 64 at most, as the attachment. A peer of another protocol is refused with PROTOCOL_VERSION.
 */
export const GET_CLUSTER = {
  name: "GET_CLUSTER",
  params: z.object({
    cluster,
    subscribe: z.boolean(),
    offset: z.number().int().min(0),
    /** Of the asker. Before 2 nobody said it. */
    protocol: count.default(1),
  }),
  result: z.object({
    protocol: count.default(1),
    total: z.number().int().min(0),
    nowMs: count,
    /** The cluster's record, if published. */
    record: Sealed.nullable(),
  }),
} as const;

/** Clusters in one message: their names and models take some 80 KB at most. */
export const CLUSTERS_PER_MESSAGE = 64;

const listedCluster = z.object({
  name: cluster,
  /** The model's name and manifest; null while no member has told them. */
  model: z.string().max(512).nullable(),
  manifest: z.string().max(128).nullable(),
  /** Whether every shard is loaded, by the answering peer's records. */
  ready: z.boolean(),
});
export type ListedCluster = z.infer<typeof listedCluster>;

/** anyone → member or rendezvous: which clusters do you know? By name, in pages, from the one after `after` ("" for the first). */
export const LIST_CLUSTERS = {
  name: "LIST_CLUSTERS",
  params: z.object({ after: z.string().max(128) }),
  result: z.object({
    clusters: z.array(listedCluster).max(CLUSTERS_PER_MESSAGE),
    more: z.boolean(),
  }),
} as const;

/** anyone → rendezvous: the cluster's record, by its key. Answered with the current one. */
export const PUBLISH_CLUSTER = {
  name: "PUBLISH_CLUSTER",
  params: z.object({ cluster, record: Sealed }),
  result: z.object({ record: Sealed }),
} as const;

/** member → rendezvous or member: who else has my identity? `sealed` is the sender's run; answered with others' runs, which each name it. */
export const CHECK_IDENTITY = {
  name: "CHECK_IDENTITY",
  params: z.object({ sealed: Sealed }),
  result: z.object({ others: z.array(Sealed).max(8) }),
} as const;

/** rendezvous or member → each connection of one peer: another run of yours asks. Answered with the own run, which names that one. */
export const MEET_RIVAL = {
  name: "MEET_RIVAL",
  params: z.object({ rival: Sealed }),
  result: z.object({ sealed: Sealed }),
} as const;

/** node → its neighbours and rendezvous: my shard is loaded. The record's state is ready; it is kept and passed on like every record. */
export const SHARD_LOADED = {
  name: "SHARD_LOADED",
  params: z.object({ cluster, sealed: Sealed }),
  /** Whether every shard is loaded, by the answering peer's records. */
  result: z.object({ ready: z.boolean(), nowMs: count }),
} as const;

/**
 * member → member or rendezvous: by my records the cluster is ready. It is only a hint: the receiver checks its own records, answers what
 * it sees, and requests the sender's records if it sees something else.
 */
export const SWARM_READY = {
  name: "SWARM_READY",
  params: z.object({ cluster, manifest: z.string().max(128), members: count }),
  result: z.object({
    ready: z.boolean(),
    missing: z.array(count).max(STATUS_LIMITS.shards),
    members: count,
  }),
} as const;

/** anyone → member or rendezvous: the cluster as the answering peer sees it. */
export const SWARM_STATUS = {
  name: "SWARM_STATUS",
  params: z.object({ cluster }),
  result: clusterStatusSchema,
} as const;

/** anyone → anyone: who are you and what do you answer? */
export const GET_CAPABILITIES = {
  name: "GET_CAPABILITIES",
  params: z.object({}),
  result: z.object({
    /** Of the program. */
    version: z.string().max(32),
    /** Version of announcements and what builds on them. */
    protocol: count,
    role: nodeStatusSchema.shape.role,
    /** By its clock, so that the asker can compare the two. */
    nowMs: count,
    commands: z.array(z.string().max(64)).max(256),
  }),
} as const;

/** anyone → anyone: everything a process knows about itself and its clusters. Lists may be cut to fit into a reply. */
export const GET_NODE_STATUS = {
  name: "GET_NODE_STATUS",
  params: z.object({}),
  result: nodeStatusSchema,
} as const;

/** member → node: take this shard too. The answer says whether it will; its announcements say when it has it. */
export const LOAD_SHARD = {
  name: "LOAD_SHARD",
  params: z.object({
    cluster,
    manifest: z.string().min(1).max(128),
    shard: z.object({ index: count, count: count.min(1) }),
    layerStart: count,
    layerEnd: count,
    /** The shard is one of this cut, which is to be in force. */
    cut: ToldCut.optional(),
  }),
  result: z.object({
    accepted: z.boolean(),
    /** Why not: a code of src/lib/errors.ts, and words. */
    code: z.string().max(64).nullable(),
    reason: z.string().max(512).nullable(),
  }),
} as const;

/** gateway → node: a piece of the manifest or of the metadata part, as the reply's attachment. */
export const GET_PART = {
  name: "GET_PART",
  params: z.object({
    manifest: z.string().max(128),
    part: z.enum(["manifest", "metadata"]),
    offset: z.number().int().min(0),
  }),
  result: z.object({ sizeBytes: z.number().int().min(0) }),
} as const;
