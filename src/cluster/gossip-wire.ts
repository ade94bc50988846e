/** Gossip on the wire: sealed records, packed digests and ids, everything bounded. */
import { z } from "zod";
import { ShoalError } from "../lib/index.ts";
import { Passed, Sealed } from "./announcement.ts";
import { type GossipMessage, MESSAGE_LIMITS } from "./gossip-message.ts";
import { type Digest, ID_BYTES, passedOf } from "./records.ts";

/** Milliseconds of the epoch fit for 8,000 years. */
const SEQ_BYTES = 6;
const DIGEST_BYTES = ID_BYTES + SEQ_BYTES;

const base64 = (bytes: number): z.ZodString =>
  z.string().max(Math.ceil(bytes / 3) * 4);

/** `news`, `have`: 10 bytes of id and a 48-bit number, big-endian, each; `want`: ids alone; base64. */
export const GossipWire = z.object({
  records: z.array(Passed).max(MESSAGE_LIMITS.records),
  news: base64(MESSAGE_LIMITS.digests * DIGEST_BYTES),
  have: base64(MESSAGE_LIMITS.digests * DIGEST_BYTES),
  want: base64(MESSAGE_LIMITS.wants * ID_BYTES),
  suspects: z
    .array(
      z.object({
        peer: z.string().min(1).max(128),
        seq: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
      }),
    )
    .max(MESSAGE_LIMITS.suspects),
  sync: z.boolean(),
  /** The cluster's record, if it is news, and with a list of everything. */
  record: Sealed.nullable(),
});
export type GossipWire = z.infer<typeof GossipWire>;

export function encodeGossip(
  message: GossipMessage,
  record: Sealed | null,
  nowMs: number,
): GossipWire {
  return {
    records: message.records.map((one) => passedOf(one, nowMs)),
    news: packDigests(message.news),
    have: packDigests(message.have),
    want: Buffer.concat(
      message.want.map((id) => Buffer.from(id, "base64url")),
    ).toString("base64"),
    suspects: message.suspects,
    sync: message.sync,
    record,
  };
}

/** Everything except the records, which must be verified first. Throws COMMAND_MALFORMED. */
export function decodeGossip(wire: GossipWire): GossipMessage {
  const want = cut(wire.want, ID_BYTES);
  return {
    records: [],
    news: unpackDigests(wire.news),
    have: unpackDigests(wire.have),
    want: want.map((id) => id.toString("base64url")),
    suspects: wire.suspects,
    sync: wire.sync,
  };
}

function packDigests(digests: readonly Digest[]): string {
  const bytes = Buffer.alloc(digests.length * DIGEST_BYTES);
  for (const [i, { id, seq }] of digests.entries()) {
    bytes.write(id, i * DIGEST_BYTES, ID_BYTES, "base64url");
    bytes.writeUIntBE(seq, i * DIGEST_BYTES + ID_BYTES, SEQ_BYTES);
  }
  return bytes.toString("base64");
}

function unpackDigests(text: string): Digest[] {
  return cut(text, DIGEST_BYTES).map((bytes) => ({
    id: bytes.toString("base64url", 0, ID_BYTES),
    seq: bytes.readUIntBE(ID_BYTES, SEQ_BYTES),
  }));
}

function cut(text: string, size: number): Buffer[] {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length % size !== 0) {
    throw new ShoalError(
      "COMMAND_MALFORMED",
      `GOSSIP: ${bytes.length} bytes are not a multiple of ${size}`,
    );
  }
  return Array.from({ length: bytes.length / size }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
}

/** Bytes of a message and its empty answer, as JSON, with the overhead of commands and frames, for statistics. */
export function estimateBytes(message: GossipMessage): number {
  const records = message.records.reduce(
    (sum, { sealed }) =>
      sum + sealed.record.length + sealed.signature.length + RECORD_JSON,
    0,
  );
  const packed =
    (message.news.length + message.have.length) * DIGEST_BYTES +
    message.want.length * ID_BYTES;
  return (
    MESSAGE_JSON +
    records +
    Math.ceil((packed * 4) / 3) +
    message.suspects.length * SUSPICION_JSON
  );
}

/** The empty command, its answer, and their frames. */
const MESSAGE_JSON = 420;
const RECORD_JSON = 30;
const SUSPICION_JSON = 90;
