/**
 * Gossip on the wire: binary, every length bounded. docs/PROTOCOL.md has the layout. A record travels deflated, with a dictionary that both
 * sides know: what records have in common, or, of a change, the record that it replaces.
 */
import { ShoalError } from "../lib/index.ts";
import { ANNOUNCEMENT, type Passed, type Sealed } from "./announcement.ts";
import { deflated, inflated, ORDINARY } from "./gossip-dictionary.ts";
import {
  type GossipMessage,
  type Listed,
  MESSAGE_LIMITS,
  type Renewal,
} from "./gossip-message.ts";
import { ByteReader, ByteWriter } from "./gossip-bytes.ts";
import { type Digest, digestOf, ID_BYTES, passedOf } from "./records.ts";
import { RENEWAL } from "./renewal.ts";

/** Of one message, deflated: 64 records of 8 KiB, and lists. More is refused before memory is allocated. */
export const MAX_GOSSIP_BYTES = 1024 * 1024;

/** Milliseconds of the epoch fit for 8,000 years. */
const SEQ_BYTES = 6;
/** A renewal's age, in steps of this: up to a minute, as long as it lives. */
const AGE_MS = 250;
const MAX_PEER_BYTES = 128;
const MAX_CLUSTER_RECORD_BYTES = 16 * 1024;

const KIND = Object.freeze({
  records: 1,
  changes: 2,
  renewals: 3,
  news: 4,
  have: 5,
  want: 6,
  ask: 7,
  suspects: 8,
  sync: 9,
  published: 10,
});

/** A record as the difference from the one with the number `base`. */
export interface PassedChange extends Digest {
  base: number;
  /** With what it replaces. Throws COMMAND_MALFORMED. */
  on: (previous: Sealed) => Passed;
}

/** A message whose records are not verified yet. */
export interface ReadGossip {
  message: GossipMessage;
  records: Passed[];
  changes: PassedChange[];
  /** The cluster's record, sealed. */
  published: Sealed | undefined;
}

export function encodeGossip(
  message: GossipMessage,
  published: Sealed | undefined,
  nowMs: number,
): Uint8Array {
  const out = new ByteWriter();
  const put = <T>(kind: number, list: readonly T[], one: (it: T) => void) => {
    if (list.length === 0) return;
    out.uint(kind, 1);
    out.uint(list.length, 4);
    for (const it of list) one(it);
  };
  const digest = ({ id, seq }: Digest): void => {
    out.id(id);
    out.uint(seq, SEQ_BYTES);
  };
  put(KIND.records, message.records, (record) =>
    putPassed(out, passedOf(record, nowMs), ORDINARY),
  );
  put(KIND.changes, message.changes, (record) => {
    const { previous } = record;
    if (previous === undefined) throw new TypeError("it replaces nothing");
    digest(digestOf(record));
    out.uint(previous.seq, SEQ_BYTES);
    putPassed(out, passedOf(record, nowMs), bytesOf(previous.sealed));
  });
  put(KIND.renewals, message.renewals, (one) => {
    out.id(one.id);
    out.uint(one.low, 2);
    out.uint(one.step, 1);
    const age = Math.round(Math.max(0, nowMs - one.bornMs) / AGE_MS);
    out.uint(Math.min(255, age), 1);
    out.bytes(one.value);
  });
  put(KIND.news, message.news, digest);
  put(KIND.have, message.have, digest);
  put(KIND.want, message.want, digest);
  put(KIND.ask, message.ask, (prefix) => out.uint(prefix, 4));
  put(KIND.suspects, message.suspects, ({ peer, seq }) => {
    out.text(peer, 1);
    out.uint(seq, SEQ_BYTES);
  });
  if (message.sync !== undefined) {
    out.uint(KIND.sync, 1);
    out.uint(message.sync.length, 4);
    for (const { prefix, low, step } of message.sync) {
      out.uint(prefix, 4);
      out.uint(low, 2);
      out.uint(step, 1);
    }
  }
  put(KIND.published, published === undefined ? [] : [published], (sealed) => {
    out.text(sealed.record, 2);
    out.text(sealed.signature, 1);
  });
  return out.done();
}

/** Everything, in bounds; nothing is verified yet. Throws COMMAND_MALFORMED. */
export function decodeGossip(bytes: Uint8Array, nowMs: number): ReadGossip {
  const input = new ByteReader(bytes);
  const read: ReadGossip = {
    message: {
      records: [],
      changes: [],
      renewals: [],
      news: [],
      have: [],
      want: [],
      ask: [],
      suspects: [],
      sync: undefined,
    },
    records: [],
    changes: [],
    published: undefined,
  };
  let before = 0;
  while (!input.isAtEnd) {
    const kind = input.uint(1);
    // Each once, in order: no message repeats a list beyond its limit.
    if (kind <= before) throw malformed(`list ${kind} after ${before}`);
    before = kind;
    readList(kind, input, read, nowMs);
  }
  return read;
}

function readList(
  kind: number,
  input: ByteReader,
  read: ReadGossip,
  nowMs: number,
): void {
  const { message } = read;
  const { records, renewals, digests, wants, suspects } = MESSAGE_LIMITS;
  const all = <T>(most: number, one: () => T): T[] => {
    const count = input.uint(4);
    if (count > most) throw malformed(`${count} items in list ${kind}`);
    const list: T[] = [];
    for (let i = 0; i < count; i++) list.push(one());
    return list;
  };
  const digest = (): Digest => ({
    id: input.id(),
    seq: input.uint(SEQ_BYTES),
  });
  if (kind === KIND.records)
    read.records = all(records, () => readPassed(input)(ORDINARY));
  else if (kind === KIND.changes)
    read.changes = all(records, () => readChange(input, digest()));
  else if (kind === KIND.renewals)
    message.renewals = all(renewals, () => readRenewal(input, nowMs));
  else if (kind === KIND.news) message.news = all(digests, digest);
  else if (kind === KIND.have) message.have = all(digests, digest);
  else if (kind === KIND.want) message.want = all(wants, digest);
  else if (kind === KIND.ask) message.ask = all(digests, () => input.uint(4));
  else if (kind === KIND.suspects)
    message.suspects = all(suspects, () => ({
      peer: input.text(1, MAX_PEER_BYTES),
      seq: input.uint(SEQ_BYTES),
    }));
  else if (kind === KIND.sync)
    message.sync = all(digests, (): Listed => ({
      prefix: input.uint(4),
      low: input.uint(2),
      step: input.uint(1),
    }));
  else if (kind === KIND.published)
    [read.published] = all(1, () => ({
      record: input.text(2, MAX_CLUSTER_RECORD_BYTES),
      signature: input.text(1, MAX_PEER_BYTES),
    }));
  else throw malformed(`an unknown list ${kind}`);
}

function readRenewal(input: ByteReader, nowMs: number): Renewal {
  const id = input.id();
  const low = input.uint(2);
  const step = input.uint(1);
  const bornMs = nowMs - input.uint(1) * AGE_MS;
  // Kept for long: not a view of a large message.
  const value = Uint8Array.from(input.bytes(RENEWAL.valueBytes));
  return { id, low, step, value, bornMs };
}

function readChange(input: ByteReader, { id, seq }: Digest): PassedChange {
  const base = input.uint(SEQ_BYTES);
  const passed = readPassed(input);
  return { id, seq, base, on: (previous) => passed(bytesOf(previous)) };
}

/** Age, renewal, signature, and the deflated record. */
function putPassed(
  out: ByteWriter,
  { record, signature, ageMs, renewed }: Passed,
  dictionary: Uint8Array,
): void {
  out.uint(ageMs, 4);
  out.uint(renewed?.step ?? 0, 1);
  if (renewed !== undefined) out.bytes(renewed.value);
  out.block(Buffer.from(signature, "base64"), 1);
  out.block(deflated(Buffer.from(record, "base64"), dictionary), 2);
}

function readPassed(input: ByteReader): (dictionary: Uint8Array) => Passed {
  const ageMs = Math.min(input.uint(4), ANNOUNCEMENT.maxTtlMs);
  const step = input.uint(1);
  const renewed =
    step === 0
      ? undefined
      : { step, value: Uint8Array.from(input.bytes(RENEWAL.valueBytes)) };
  const signature = Buffer.from(input.block(1)).toString("base64");
  const packed = input.block(2);
  return (dictionary) => {
    const bytes = inflated(packed, dictionary, ANNOUNCEMENT.maxBytes);
    const record = Buffer.from(bytes).toString("base64");
    return { record, signature, ageMs, renewed };
  };
}

function bytesOf({ record }: Sealed): Uint8Array {
  return Buffer.from(record, "base64");
}

function malformed(what: string): ShoalError {
  return new ShoalError("COMMAND_MALFORMED", `gossip: ${what}`);
}

/** Bytes of a record on the wire, whole and as the difference from another, for statistics. */
export function recordSizes(
  sealed: Sealed,
  previous: Sealed,
): { whole: number; change: number } {
  const size = (dictionary: Uint8Array): number => {
    const out = new ByteWriter();
    putPassed(out, { ...sealed, ageMs: 0, renewed: undefined }, dictionary);
    return out.done().length;
  };
  return {
    whole: size(ORDINARY),
    change: size(bytesOf(previous)) + ID_BYTES + 2 * SEQ_BYTES,
  };
}

/** Bytes of a message, with the frame's length and the transport's header of a stream frame, for statistics. */
export function estimateBytes(
  m: GossipMessage,
  sizes: { whole: number; change: number },
): number {
  const digest = ID_BYTES + SEQ_BYTES;
  const lists: [items: number, bytes: number][] = [
    [m.records.length, sizes.whole],
    [m.changes.length, sizes.change],
    [m.renewals.length, ID_BYTES + 4 + RENEWAL.valueBytes],
    [m.news.length, digest],
    [m.have.length, digest],
    [m.want.length, digest],
    [m.ask.length, 4],
    [m.suspects.length, ESTIMATED_PEER_BYTES + 1 + SEQ_BYTES],
    [m.sync?.length ?? 0, 7],
  ];
  return lists.reduce(
    (sum, [items, bytes]) => sum + (items > 0 ? 5 + items * bytes : 0),
    FRAME_BYTES,
  );
}

/** The frame's length, 4 bytes; QUIC's type, stream, offset and length, up to 8. */
const FRAME_BYTES = 12;
const ESTIMATED_PEER_BYTES = 52;
