/**
 * A node's announcement: a record signed by its peer key, so that anybody may pass it on and nobody can forge it. Encoded as dag-cbor
 * (deterministic), carried in commands as base64.
 */
import { decode, encode } from "@ipld/dag-cbor";
import { z } from "zod";
import { BATCH_MODES, KV_TYPES, ShoalError } from "../lib/index.ts";
import { SEEN_AS, verify } from "../network/index.ts";
import { NODE_STATES } from "../status/index.ts";
import type { Renewed } from "./renewal.ts";

export const ANNOUNCEMENT = Object.freeze({
  /** Lifetime of a record since it was sealed or last renewed: three renewals, so that one lost message does no harm. */
  ttlMs: 60_000,
  renewMs: 20_000,
  /** What a record may ask for. */
  maxTtlMs: 10 * 60_000,
  /** Size of one encoded record. Addresses make up most of it. */
  maxBytes: 8 * 1024,
});

/** Version of the cluster protocol. 2: renewals are a few bytes, gossip is binary. */
export const PROTOCOL = 2;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Of a chain of renewals. */
export const VALUE_BYTES = 16;

/** What a node offers; the same for all its shards. */
export const Capacity = z.object({
  memoryBytes: count,
  freeMemoryBytes: count,
  threads: count,
});
export type Capacity = z.infer<typeof Capacity>;

/** Peers are many and ids are long: the last characters distinguish them well enough for a picture. */
export const LINKS = Object.freeze({
  max: 16,
  characters: 8,
  /** Of a round trip, in tenths of a millisecond: 6.5 s, as long as a silent peer is waited for. */
  maxRoundTrip: 65_535,
});

/** Of a peer. */
export const MAX_ADDRESSES = 16;

/** A route has at most 256 stages. */
const MAX_BORDERS = 255;

/** A disk with more holes than this is of little use to anybody. */
export const ON_DISK_RANGES = 16;

/** Where a model is cut: the borders between the stages, by the version after the cluster's own plan, which is 0. */
export const ToldCut = z.object({
  version: z.number().int().min(1).max(1_000_000_000),
  borders: z.array(z.number().int().min(1).max(65_535)).max(MAX_BORDERS),
});
export type ToldCut = z.infer<typeof ToldCut>;

export const Announcement = z.object({
  v: z.literal(PROTOCOL),
  cluster: z.string().min(1).max(128),
  peer: z.string().min(1).max(128),
  /** CID of the model's manifest. */
  manifest: z.string().min(1).max(128),
  /** The model's name: for people, not an identity. */
  model: z.string().max(256),
  layerCount: z.number().int().min(1).max(65_536),
  /** Half-open. */
  layerStart: z.number().int().min(0).max(65_535),
  layerEnd: z.number().int().min(1).max(65_536),
  /** The shard's number in its plan. The layers count; this is its name. */
  shard: z.object({ index: count, count: count.min(1) }),
  state: z.enum(NODE_STATES),
  /** Tokens one session may hold, and one decode may take. */
  contextLength: count,
  batchTokens: count,
  sessions: z.object({ active: count, max: count }),
  /** Of keys and values: what sessions may still reserve, and all of it. */
  kvTokens: z.object({ free: count, total: count }).optional(),
  /** How the shard computes (`computeModeOf`). */
  kv: z.enum(KV_TYPES).optional(),
  batch: z.enum(BATCH_MODES).optional(),
  msPerToken: z.number().min(0).optional(),
  /** Of the shard's engine: resident, and of the GPUs that compute. */
  memoryBytes: count.optional(),
  /** What computes: "llama.cpp v0.5.0 on CPU AVX2". */
  engine: z.string().max(128).optional(),
  /** While it is downloaded. */
  progress: z.object({ doneBytes: count, sizeBytes: count }).optional(),
  capacity: Capacity.optional(),
  /** Taken over because nobody else held it, or as a standby; given back when others hold it. */
  takenOver: z.boolean().optional(),
  /** The cut that the node follows; without it the cluster's own plan. */
  cut: ToldCut.optional(),
  /** Its layers follow the cut: by themselves, or when its operator agrees. Without it they stay. */
  move: z.enum(["auto", "ask"]).optional(),
  /** The node loads what only one node holds as a standby. */
  standby: z.boolean().optional(),
  /** Half-open layer ranges whose parts are all on the node's disk: to load a shard within one it fetches nothing. */
  onDisk: z.array(z.array(count).length(2)).max(ON_DISK_RANGES).optional(),
  /** It connects members with each other that cannot reach each other. */
  relay: z.boolean().optional(),
  /** Connected peers: the ends of their ids. */
  links: z.array(z.string().max(LINKS.characters)).max(LINKS.max).optional(),
  /** To each of `links`, measured, in tenths of a millisecond; 0 is unknown. */
  roundTrips: z
    .array(z.number().int().min(0).max(LINKS.maxRoundTrip))
    .max(LINKS.max)
    .optional(),
  addresses: z.array(z.string().max(512)).max(MAX_ADDRESSES),
  /** The public IPs at which others see it: who is seen at the same is on its network, and only those dial its private addresses. */
  seenAs: z.array(z.string().max(64)).max(SEEN_AS.ips).optional(),
  version: z.string().max(32),
  /** Where the chain of its renewals ends (`RenewalChain`); without it the record cannot be renewed. */
  renewal: z
    .custom<Uint8Array>(
      (it) => it instanceof Uint8Array && it.length === VALUE_BYTES,
      `${VALUE_BYTES} bytes`,
    )
    .optional(),
  /** Grows with every record of this peer: an older one never replaces a newer one. Digests give it 48 bits. */
  seq: count.max(2 ** 48 - 1),
  /** Milliseconds since the epoch, by the peer's clock: only to tell how far that is off. */
  issuedMs: count,
  ttlMs: count.max(ANNOUNCEMENT.maxTtlMs),
});
export type Announcement = z.infer<typeof Announcement>;

/** As it travels. */
export const Sealed = z.object({
  /** base64 of the dag-cbor of an Announcement. */
  record: z.string().max(Math.ceil((ANNOUNCEMENT.maxBytes * 4) / 3) + 4),
  /** base64 of the peer's Ed25519 signature over those bytes. */
  signature: z.string().max(128),
});
export type Sealed = z.infer<typeof Sealed>;

/**
 * As one member passes it on to another: with the time since it was sealed or renewed, measured by those who passed it on. So a record ends at
 * the same time everywhere, and no two machines' clocks are compared.
 */
export interface Passed extends Sealed {
  ageMs: number;
  /** Its newest renewal, if it was renewed. */
  renewed: Renewed | undefined;
}

export async function seal(
  announcement: Announcement,
  sign: (data: Uint8Array) => Promise<Uint8Array>,
): Promise<Sealed> {
  // dag-cbor has no undefined, so unknown fields are left out.
  const bytes = encode(
    Object.fromEntries(
      Object.entries(announcement).filter(([, value]) => value !== undefined),
    ),
  );
  const signature = await sign(bytes);
  return {
    record: Buffer.from(bytes).toString("base64"),
    signature: Buffer.from(signature).toString("base64"),
  };
}

/** Throws ANNOUNCEMENT_INVALID: malformed, oversized, or not signed by its peer. */
export async function unseal(sealed: Sealed): Promise<Announcement> {
  const announcement = readUnproved(sealed);
  await prove(sealed, announcement);
  return announcement;
}

/** The decoded record, in bounds; its signature is not checked yet. Throws ANNOUNCEMENT_INVALID or PROTOCOL_VERSION. */
export function readUnproved(sealed: Sealed): Announcement {
  const bytes = Buffer.from(sealed.record, "base64");
  if (bytes.length > ANNOUNCEMENT.maxBytes)
    throw invalid("oversized", `${bytes.length} bytes`);
  let value: unknown;
  try {
    value = decode(bytes);
  } catch (error) {
    throw invalid("malformed", "not dag-cbor", error);
  }
  const version = versionOf(value);
  if (version !== undefined && version !== PROTOCOL) {
    throw new ShoalError(
      "PROTOCOL_VERSION",
      `the announcement has protocol ${version}, this node has ${PROTOCOL}: update the older of the two`,
      { reason: "version", theirs: version, ours: PROTOCOL },
    );
  }
  const parsed = Announcement.safeParse(value);
  if (!parsed.success)
    throw invalid("malformed", z.prettifyError(parsed.error));
  const announcement = parsed.data;
  if (
    announcement.layerEnd <= announcement.layerStart ||
    announcement.layerEnd > announcement.layerCount
  ) {
    throw invalid(
      "malformed",
      `layers ${announcement.layerStart} to ${announcement.layerEnd} of ${announcement.layerCount}`,
    );
  }
  return announcement;
}

/** Checks the signature. Throws ANNOUNCEMENT_INVALID. */
export async function prove(
  sealed: Sealed,
  announcement: Announcement,
): Promise<void> {
  const bytes = Buffer.from(sealed.record, "base64");
  if (
    !(await verify(
      announcement.peer,
      bytes,
      Buffer.from(sealed.signature, "base64"),
    ))
  ) {
    throw invalid("forged", `not signed by ${announcement.peer}`);
  }
}

function versionOf(value: unknown): number | undefined {
  const { v } = (typeof value === "object" && value !== null ? value : {}) as {
    v?: unknown;
  };
  return typeof v === "number" ? v : undefined;
}

function invalid(reason: string, what: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "ANNOUNCEMENT_INVALID",
    `announcement refused (${reason}): ${what}`,
    { reason },
    cause,
  );
}
