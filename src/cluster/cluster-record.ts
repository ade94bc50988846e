/**
 * What a cluster serves: a record signed by the cluster's own key, so that members know its model and plan, whoever passes it on. The first
 * record binds the cluster's name to its key; later ones must be signed by the same key.
 */
import { decode, encode } from "@ipld/dag-cbor";
import { z } from "zod";
import {
  BATCH_MODES,
  type ComputeMode,
  flagsOf,
  KV_TYPES,
  sameComputeMode,
  ShoalError,
} from "../lib/index.ts";
import { verify } from "../network/index.ts";
import type { Sealed } from "./announcement.ts";

export const CLUSTER_RECORD_DEFAULTS = Object.freeze({
  /** Copies of each part that the cluster tries to keep, so that one holder may fail. */
  replication: 2,
});

/** Size of one encoded record. Origins make up most of it. */
const MAX_BYTES = 8 * 1024;

export const ClusterRecord = z.object({
  v: z.literal(1),
  cluster: z.string().min(1).max(128),
  /** The cluster's key, as a peer id. */
  key: z.string().min(1).max(128),
  /** CID of the model's manifest. */
  manifest: z.string().min(1).max(128),
  /** For people. */
  model: z.string().max(256),
  /** Shards of the plan. */
  shards: z.number().int().min(1).max(65_536),
  /** Copies of each part to keep. */
  replication: z.number().int().min(1).max(64),
  /** HTTP(S) URLs of the original files, in order, as an additional source. */
  origin: z.array(z.url({ protocol: /^https?$/ }).max(2048)).max(1024),
  /** How its stages compute (`computeModeOf`). */
  kv: z.enum(KV_TYPES).optional(),
  batch: z.enum(BATCH_MODES).optional(),
  /** Grows with every record of this cluster. */
  seq: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  issuedMs: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
});
export type ClusterRecord = z.infer<typeof ClusterRecord>;

export async function sealClusterRecord(
  record: ClusterRecord,
  sign: (data: Uint8Array) => Promise<Uint8Array>,
): Promise<Sealed> {
  const bytes = encode(record);
  return {
    record: Buffer.from(bytes).toString("base64"),
    signature: Buffer.from(await sign(bytes)).toString("base64"),
  };
}

/** Throws ANNOUNCEMENT_INVALID: malformed, oversized, or not signed by the key it names. */
export async function unsealClusterRecord(
  sealed: Sealed,
): Promise<ClusterRecord> {
  const bytes = Buffer.from(sealed.record, "base64");
  if (bytes.length > MAX_BYTES)
    throw invalid("oversized", `${bytes.length} bytes`);
  let value: unknown;
  try {
    value = decode(bytes);
  } catch (error) {
    throw invalid("malformed", "not dag-cbor", error);
  }
  const parsed = ClusterRecord.safeParse(value);
  if (!parsed.success)
    throw invalid("malformed", z.prettifyError(parsed.error));
  const signature = Buffer.from(sealed.signature, "base64");
  if (!(await verify(parsed.data.key, bytes, signature))) {
    throw invalid("forged", `not signed by ${parsed.data.key}`);
  }
  return parsed.data;
}

/** Whether `next` may replace `known`: the same key, and newer. Throws COMMAND_UNAUTHORIZED for another key. */
export function supersedes(
  next: ClusterRecord,
  known: ClusterRecord | undefined,
): boolean {
  if (known === undefined) return true;
  if (next.key !== known.key) {
    throw new ShoalError(
      "COMMAND_UNAUTHORIZED",
      `cluster ${known.cluster} belongs to another key`,
      { cluster: known.cluster, key: known.key },
    );
  }
  return next.seq > known.seq;
}

/** Throws CLUSTER_MODE_MISMATCH if a node computes otherwise than its cluster. */
export function refuseOtherMode(node: ComputeMode, cluster: ComputeMode): void {
  if (sameComputeMode(node, cluster)) return;
  throw new ShoalError(
    "CLUSTER_MODE_MISMATCH",
    `the cluster computes with ${flagsOf(cluster)}; this node with ${flagsOf(node)}`,
    { reason: "mismatch", cluster: flagsOf(cluster), node: flagsOf(node) },
  );
}

function invalid(reason: string, what: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "ANNOUNCEMENT_INVALID",
    `cluster record refused (${reason}): ${what}`,
    { reason },
    cause,
  );
}
