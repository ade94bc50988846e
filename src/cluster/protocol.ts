/** The commands of the cluster: names and schemas, validated on both sides. docs/PROTOCOL.md lists them. */
import { z } from "zod";
import { Sealed } from "./announcement.ts";
import { GossipWire } from "./gossip-wire.ts";
import {
  clusterStatusSchema,
  nodeStatusSchema,
  STATUS_LIMITS,
} from "../status/index.ts";

const cluster = z.string().min(1).max(128);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Records in one message; a larger cluster comes in several pages. */
export const RECORDS_PER_MESSAGE = 64;

/** node → rendezvous or member: this is me; answered with who else there is. */
export const ANNOUNCE = {
  name: "ANNOUNCE",
  params: z.object({ cluster, sealed: Sealed }),
  result: z.object({ members: z.number().int().min(0) }),
} as const;

/** anyone → member or rendezvous: who is in this cluster? With `subscribe`, the one who answers gossips with the one who asks while they are connected. */
export const GET_CLUSTER = {
  name: "GET_CLUSTER",
  params: z.object({
    cluster,
    subscribe: z.boolean(),
    offset: z.number().int().min(0),
  }),
  result: z.object({
    records: z.array(Sealed).max(RECORDS_PER_MESSAGE),
    total: z.number().int().min(0),
    /** What the cluster serves, where that was published. */
    record: Sealed.nullable(),
  }),
} as const;

/** anyone → rendezvous: the cluster's record, by its key. Answered with the one that holds now. */
export const PUBLISH_CLUSTER = {
  name: "PUBLISH_CLUSTER",
  params: z.object({ cluster, record: Sealed }),
  result: z.object({ record: Sealed }),
} as const;

/** neighbour ↔ neighbour: what changed, what I have, what I want, whom I lost. Answered in kind. */
export const GOSSIP_COMMAND = {
  name: "GOSSIP",
  params: GossipWire.extend({ cluster }),
  result: GossipWire,
} as const;

/** node → its neighbours and rendezvous: my shard is loaded. The record's state is ready; it is kept and passed on like any. */
export const SHARD_LOADED = {
  name: "SHARD_LOADED",
  params: z.object({ cluster, sealed: Sealed }),
  /** Whether by the records of the one who answers every shard is loaded now. */
  result: z.object({ ready: z.boolean() }),
} as const;

/**
 * member → member or rendezvous: by the records I hold the cluster is ready. A hint, nobody's word: who gets it looks at its own
 * records, answers what it sees, and asks for the sender's records where it sees something else.
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

/** anyone → member or rendezvous: the cluster as the one who answers sees it. */
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
    /** Of announcements and of what is built on them. */
    protocol: count,
    role: nodeStatusSchema.shape.role,
    /** By its clock: who asks can tell how far the two are apart. */
    nowMs: count,
    commands: z.array(z.string().max(64)).max(256),
  }),
} as const;

/** anyone → anyone: all a process knows of itself and its clusters. Lists may be cut, so that it fits in a reply. */
export const GET_NODE_STATUS = {
  name: "GET_NODE_STATUS",
  params: z.object({}),
  result: nodeStatusSchema,
} as const;

/** member → node: take this shard too. Answered by whether it will; that it has it, its announcements tell. */
export const LOAD_SHARD = {
  name: "LOAD_SHARD",
  params: z.object({
    cluster,
    manifest: z.string().min(1).max(128),
    shard: z.object({ index: count, count: count.min(1) }),
    layerStart: count,
    layerEnd: count,
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
