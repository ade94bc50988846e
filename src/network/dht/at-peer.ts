/** The DHT's work at one peer: store a record or a provider record there, and find out whether it did. */
import type { PeerId } from "@libp2p/interface";
import { MessageType, Record as KadRecord } from "@libp2p/kad-dht";
import type { Multiaddr } from "@multiformats/multiaddr";
import { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { sha256 } from "multiformats/hashes/sha2";
import { ShoalError, sleep, type Clock } from "../../lib/index.ts";
import { DHT_DEFAULTS } from "../defaults.ts";
import type { ProviderKey } from "./dht.ts";
import type { PeerAnswer, Said } from "./outcome.ts";
import { ask, type Asked, type Kad } from "./wire.ts";

export interface AtPeer {
  kad: Kad;
  node: { peerId: PeerId; getMultiaddrs(): Multiaddr[] };
  clock: Pick<Clock, "now">;
}

/** Asks `peer` to keep the record; a peer that does sends it back. */
export async function putAt(
  { kad, clock }: AtPeer,
  peer: PeerId,
  key: string,
  value: Uint8Array,
  signal: AbortSignal,
): Promise<PeerAnswer> {
  const now = new Date(clock.now());
  const record = new KadRecord(utf8(key), value, now).serialize();
  const type = MessageType.PUT_VALUE;
  const message = { type, key: utf8(key), record };
  const asked = await ask(kad, peer, message, signal);
  if ("failed" in asked) return asked.failed;
  const { record: echo } = asked.reply;
  return echo !== undefined && sameBytes(echo, value)
    ? { peer: peer.toString(), said: "stored" }
    : { peer: peer.toString(), said: "refused", reason: "it kept another" };
}

/** Tells `peer` that this host provides `cid`, and asks whether it noted that. */
export async function provideAt(
  { kad, node }: AtPeer,
  peer: PeerId,
  cid: CID,
  signal: AbortSignal,
): Promise<PeerAnswer> {
  const id = peer.toString();
  const addresses = node.getMultiaddrs();
  if (addresses.length === 0)
    return { peer: id, said: "refused", reason: "this host has no address" };
  const key = cid.multihash.bytes;
  const self = {
    id: node.peerId.toMultihash().bytes,
    multiaddrs: addresses.map((address) => address.bytes),
  };
  const message = { type: MessageType.ADD_PROVIDER, key, providers: [self] };
  const sent = await ask(kad, peer, message, signal, "message");
  if ("failed" in sent) return sent.failed;
  let last: PeerAnswer = { peer: id, said: "refused", reason: "not kept" };
  for (const waitMs of DHT_DEFAULTS.confirmWaitsMs) {
    if (waitMs > 0) await sleep(waitMs, signal).catch(() => {});
    const question = { type: MessageType.GET_PROVIDERS, key };
    const asked = await ask(kad, peer, question, signal);
    if ("failed" in asked) {
      last = asked.failed;
      // A peer resets the stream if it noted a provider but not yet its addresses.
      if (last.said !== "refused") return last;
    } else if (asked.reply.providers.some((p) => p.id.equals(node.peerId))) {
      return { peer: id, said: "stored" };
    }
  }
  return last;
}

/** The key of a provider record: the hash of a name, or of the name of a Merkle root. */
export async function cidOf(key: ProviderKey): Promise<CID> {
  return CID.createV1(raw.code, await sha256.digest(utf8(nameOf(key))));
}

export function nameOf(key: ProviderKey): string {
  if (typeof key === "string") return key;
  if (key.length !== 32)
    throw new ShoalError("INTERNAL", `a root has 32 bytes, not ${key.length}`);
  return `/shoal-content/${Buffer.from(key).toString("hex")}`;
}

export function saidOf(
  asked: Asked,
  holds: (record: Uint8Array) => boolean,
): Said {
  if ("failed" in asked) return asked.failed.said;
  const { record } = asked.reply;
  if (record === undefined) return "nothing";
  return holds(record) ? "found" : "invalid";
}

export function holdersOf(
  value: Uint8Array,
  found: ReadonlyMap<string, Uint8Array>,
): string[] {
  return [...found]
    .filter(([, other]) => sameBytes(value, other))
    .map(([peer]) => peer);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function text(value: Uint8Array): string {
  return Buffer.from(value).toString("latin1");
}

export function utf8(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
