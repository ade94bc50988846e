/** Lists of everything, 7 bytes a record: two members compare them and tell each other what differs. Pure. */
import type { GossipMessage, Listed, Renewal } from "./gossip-message.ts";
import { digestOf, type HolderRecord } from "./records.ts";

const PREFIX_BYTES = 4;
const LOW = 2 ** 16;

/** The end of a record's number. */
export function lowOf(seq: number): number {
  return seq % LOW;
}

/** The beginning of a holder's id. Two holders that share it are both told. */
export function prefixOf(record: HolderRecord): number {
  return (record.prefix ??= Buffer.from(
    digestOf(record).id.slice(0, Math.ceil((PREFIX_BYTES * 4) / 3)),
    "base64url",
  ).readUInt32BE());
}

export function listOf(records: readonly HolderRecord[]): Listed[] {
  return records.map((record) => ({
    prefix: prefixOf(record),
    low: lowOf(record.announcement.seq),
    step: record.renewed?.step ?? 0,
  }));
}

/** Its newest renewal; undefined if it was not renewed. */
export function renewalOf(record: HolderRecord): Renewal | undefined {
  const { renewed, bornMs, announcement } = record;
  if (renewed === undefined) return undefined;
  const { id } = digestOf(record);
  return { id, low: lowOf(announcement.seq), ...renewed, bornMs };
}

/** To someone who listed `theirs`: what it lacks of `mine`, and what I lack. */
export function answerList(
  theirs: readonly Listed[],
  mine: readonly HolderRecord[],
  out: GossipMessage,
): void {
  const listed = new Map(theirs.map((one) => [one.prefix, one]));
  const seen = new Set<number>();
  for (const record of mine) {
    const prefix = prefixOf(record);
    const their = listed.get(prefix);
    // Of two with one prefix only one may be theirs.
    const isSecond = seen.has(prefix);
    seen.add(prefix);
    const isSame = their?.low === lowOf(record.announcement.seq) && !isSecond;
    const step = record.renewed?.step ?? 0;
    if (!isSame) tellOf(record, out);
    else if (their.step < step) out.renewals.push(...asList(renewalOf(record)));
    else if (their.step > step) out.ask.push(prefix);
  }
  for (const prefix of listed.keys())
    if (!seen.has(prefix)) out.ask.push(prefix);
}

/** To someone who asks about these of `mine`. */
export function answerAsk(
  ask: readonly number[],
  mine: readonly HolderRecord[],
  out: GossipMessage,
): void {
  const asked = new Set(ask);
  for (const record of mine)
    if (asked.has(prefixOf(record))) tellOf(record, out);
}

function tellOf(record: HolderRecord, out: GossipMessage): void {
  out.have.push(digestOf(record));
  out.renewals.push(...asList(renewalOf(record)));
}

function asList<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}
