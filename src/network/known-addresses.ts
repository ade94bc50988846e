/** Where to dial a peer. */
import { networkInterfaces } from "node:os";
import { peerIdFromString } from "@libp2p/peer-id";
import { type PeerTarget, transportOf } from "./address.ts";
import { plainIp } from "./address-class.ts";
import { worthDialling } from "./dialable.ts";
import type { Node } from "./libp2p.ts";
import type { SeenAs } from "./seen-as.ts";

export interface KnownAddressesOptions {
  node: Node;
  quic: boolean;
  seenAs: SeenAs;
  signal: AbortSignal;
}

/**
 * The given addresses, else remembered ones, else those from the DHT, as far as they may lead there from here; each with the id that the
 * peer must prove.
 */
export async function knownAddresses(
  { peerId, addresses, named = peerId === undefined }: PeerTarget,
  { node, quic, seenAs, signal }: KnownAddressesOptions,
): Promise<string[]> {
  let found = [...addresses];
  if (peerId !== undefined) {
    const id = peerIdFromString(peerId);
    if (found.length === 0) {
      const peer = await node.peerStore.get(id).catch(() => undefined);
      found = peer?.addresses.map((a) => a.multiaddr.toString()) ?? [];
    }
    if (found.length === 0) {
      const info = await node.peerRouting
        .findPeer(id, { signal })
        .catch(() => undefined);
      found = info?.multiaddrs.map((a) => a.toString()) ?? [];
    }
    found = found
      .map((a) => (/\/p2p\/\w+$/.test(a) ? a : `${a}/p2p/${peerId}`))
      .filter((a) => a.endsWith(`/p2p/${peerId}`));
  }
  if (!named)
    found = worthDialling(found, {
      own: seenAs.own,
      theirs: peerId === undefined ? [] : seenAs.of(peerId),
      interfaces: interfaceIps(),
    });
  return quic ? found : found.filter((a) => transportOf(a) !== "QUIC");
}

/** Of this machine, now. */
export function interfaceIps(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .map(({ address }) => plainIp(address));
}
