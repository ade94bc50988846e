/** A cluster's records in pages, as GET_CLUSTER answers: packed like gossip. */
import { ShoalError } from "../lib/index.ts";
import { Attached, type Commands } from "../network/index.ts";
import { type Passed, PROTOCOL, type Sealed } from "./announcement.ts";
import { emptyMessage } from "./gossip-message.ts";
import { decodeGossip, encodeGossip } from "./gossip-wire.ts";
import { GET_CLUSTER } from "./protocol.ts";
import type { HolderRecord } from "./records.ts";

/** Records in one page; a larger cluster takes several. */
const PAGE_RECORDS = 64;

export interface ClusterPage {
  records: Passed[];
  /** In all pages. */
  total: number;
  /** The answering machine's clock. */
  nowMs: number;
  /** The cluster's record, if published. */
  record: Sealed | null;
}

/** `nowMs` is of a steady clock, `wallMs` what the time is. */
export function pageOf(
  records: readonly HolderRecord[],
  offset: number,
  record: Sealed | null,
  { nowMs, wallMs }: { nowMs: number; wallMs: number },
): Attached<unknown> {
  const page = records.slice(offset, offset + PAGE_RECORDS);
  const message = { ...emptyMessage(), records: page };
  const total = records.length;
  return new Attached(
    { protocol: PROTOCOL, total, nowMs: wallMs, record },
    encodeGossip(message, undefined, nowMs),
  );
}

/** Asks `peer` for the records from `offset` on. Rejects with PROTOCOL_VERSION if it has another protocol. */
export async function askPage(
  commands: Commands,
  peer: Parameters<Commands["callAttached"]>[0],
  params: { cluster: string; subscribe: boolean; offset: number },
  options: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<ClusterPage> {
  const { name, result } = GET_CLUSTER;
  const asked = { ...params, protocol: PROTOCOL };
  const answer = await commands.callAttached(
    peer,
    name,
    asked,
    result,
    options,
  );
  const { protocol, ...rest } = answer.result;
  refuseProtocol(protocol);
  return { ...rest, records: decodeGossip(answer.attachment, 0).records };
}

/** Throws PROTOCOL_VERSION. */
export function refuseProtocol(theirs: number): void {
  if (theirs === PROTOCOL) return;
  throw new ShoalError(
    "PROTOCOL_VERSION",
    `the peer has protocol ${theirs}, this one has ${PROTOCOL}: update the older of the two`,
    { reason: "version", theirs, ours: PROTOCOL },
  );
}
