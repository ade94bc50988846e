/** The commands of the cluster: names and schemas, validated on both sides. docs/PROTOCOL.md lists them. */
import { z } from "zod";
import { Sealed } from "./announcement.ts";

const cluster = z.string().min(1).max(128);

/** Records in one message; a larger cluster comes in several pages. */
export const RECORDS_PER_MESSAGE = 64;

/** node → rendezvous: this is me; answered with who else there is. */
export const ANNOUNCE = {
  name: "ANNOUNCE",
  params: z.object({ cluster, sealed: Sealed }),
  result: z.object({ members: z.number().int().min(0) }),
} as const;

/** anyone → rendezvous: who is in this cluster? With `subscribe`, changes are pushed as CLUSTER_CHANGED until the connection ends. */
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

/** rendezvous → subscriber: newer records, and peers that are gone. */
export const CLUSTER_CHANGED = {
  name: "CLUSTER_CHANGED",
  params: z.object({
    cluster,
    records: z.array(Sealed).max(RECORDS_PER_MESSAGE),
    gone: z.array(z.string().max(128)).max(1024),
    record: Sealed.nullable(),
  }),
  result: z.object({}),
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
