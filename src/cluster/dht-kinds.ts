/**
 * What a cluster keeps in the DHT, so that it can be found without its rendezvous:
 *
 *     /shoal-node/<cluster>/<peer id>    the announcements of a peer, one for each of its shards, signed by it
 *     /shoal-cluster/<cluster>           the cluster's record, signed by its key
 *
 * A value is JSON with sealed records.
 */
import { decode } from "@ipld/dag-cbor";
import { z } from "zod";
import { ShoalError } from "../lib/index.ts";
import type { RecordKind } from "../network/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  Sealed,
  unseal,
} from "./announcement.ts";
import { type ClusterRecord, unsealClusterRecord } from "./cluster-record.ts";

const DHT_KINDS = Object.freeze({
  /** Announcements of one peer: one a shard. */
  announcements: 16,
  /** Most of a record is its addresses: sixteen ordinary announcements fit. */
  nodeBytes: 48 * 1024,
  /** As long as an announcement lives at most. How old it was when it came nobody tells: the one that is looked for tells more. */
  nodeLifetimeMs: ANNOUNCEMENT.maxTtlMs,
  clusterBytes: 12 * 1024,
  /** As long as kad-dht keeps any; its owner repeats it every hour. */
  clusterLifetimeMs: 48 * 3_600_000,
});

const NODE = "shoal-node";
const CLUSTER = "shoal-cluster";

const Announcements = z.array(Sealed).min(1).max(DHT_KINDS.announcements);

export function nodeKey(cluster: string, peer: string): string {
  return `/${NODE}/${cluster}/${peer}`;
}

export function clusterKey(cluster: string): string {
  return `/${CLUSTER}/${cluster}`;
}

export function encodeAnnouncements(sealed: readonly Sealed[]): Uint8Array {
  return Buffer.from(JSON.stringify(sealed));
}

/** Rejects with ANNOUNCEMENT_INVALID; one bad announcement spoils the record. */
export async function decodeAnnouncements(
  value: Uint8Array,
): Promise<{ sealed: Sealed; announcement: Announcement }[]> {
  return await Promise.all(
    sealedOf(value).map(async (sealed) => ({
      sealed,
      announcement: await unseal(sealed),
    })),
  );
}

export function encodeClusterRecord(sealed: Sealed): Uint8Array {
  return Buffer.from(JSON.stringify(sealed));
}

/** Rejects with ANNOUNCEMENT_INVALID. */
export async function decodeClusterRecord(
  value: Uint8Array,
): Promise<{ sealed: Sealed; record: ClusterRecord }> {
  const sealed = parse(Sealed, value);
  return { sealed, record: await unsealClusterRecord(sealed) };
}

/** For HostOptions.recordKinds. */
export function clusterRecordKinds(): RecordKind[] {
  return [
    {
      prefix: NODE,
      maxBytes: DHT_KINDS.nodeBytes,
      lifetimeMs: DHT_KINDS.nodeLifetimeMs,
      async validate(key, value) {
        const all = await decodeAnnouncements(value);
        for (const { announcement } of all)
          if (nodeKey(announcement.cluster, announcement.peer) !== key)
            throw foreign(key, `an announcement of ${announcement.peer}`);
      },
      // The newest of them: a peer that announces one shard again sends the others along.
      seq: (value) =>
        Math.max(...sealedOf(value).map((sealed) => seqOf(sealed))),
    },
    {
      prefix: CLUSTER,
      maxBytes: DHT_KINDS.clusterBytes,
      lifetimeMs: DHT_KINDS.clusterLifetimeMs,
      async validate(key, value) {
        const { record } = await decodeClusterRecord(value);
        if (clusterKey(record.cluster) !== key)
          throw foreign(key, `the record of ${record.cluster}`);
      },
      seq: (value) => seqOf(parse(Sealed, value)),
      owner: (value) => fieldOf(parse(Sealed, value), "key", z.string()),
    },
  ];
}

function sealedOf(value: Uint8Array): Sealed[] {
  return parse(Announcements, value);
}

function parse<T>(schema: z.ZodType<T>, value: Uint8Array): T {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(value).toString("utf8"));
  } catch (error) {
    throw malformed("no JSON", error);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw malformed(z.prettifyError(parsed.error));
  return parsed.data;
}

function seqOf(sealed: Sealed): number {
  return fieldOf(sealed, "seq", z.number());
}

/** Of a record that was valid once, perhaps expired since. */
function fieldOf<T>(sealed: Sealed, name: string, schema: z.ZodType<T>): T {
  const record = decode(Buffer.from(sealed.record, "base64"));
  return schema.parse((record as Record<string, unknown>)[name]);
}

function malformed(what: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "ANNOUNCEMENT_INVALID",
    `record refused (malformed): ${what}`,
    { reason: "malformed" },
    cause,
  );
}

function foreign(key: string, what: string): ShoalError {
  return new ShoalError(
    "ANNOUNCEMENT_INVALID",
    `record refused (forged): ${what} under ${key}`,
    { reason: "forged" },
  );
}
