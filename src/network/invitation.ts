/**
 * An invitation: one string that has what a newcomer needs, the cluster's name and peers to join through, with their keys and addresses.
 *
 *     shoal:<base64url of>
 *       version    1 byte, 1
 *       fields     each: 1 byte kind, 2 bytes length (big-endian), that many bytes
 *         2        the cluster's name, UTF-8; once
 *         4        a peer: its id as a multihash
 *         6        an address of the peer before it: a multiaddr without /p2p/
 *       checksum   the first 4 bytes of the SHA-256 of all before
 *
 * A reader ignores fields of an odd kind that it does not know, and refuses those of an even kind: whoever made them says that nobody joins
 * without understanding them.
 */
import { hash } from "node:crypto";
import { peerIdFromMultihash, peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import { decode as decodeMultihash } from "multiformats/hashes/digest";
import { ShoalError } from "../lib/index.ts";
import { parseTarget } from "./address.ts";

export interface InvitedPeer {
  peerId: string;
  /** Multiaddrs without /p2p/; at least one. */
  addresses: readonly string[];
}

export interface Invitation {
  cluster: string;
  /** At least one. */
  peers: readonly InvitedPeer[];
}

export const INVITATION = Object.freeze({
  prefix: "shoal:",
  version: 1,
  /** Characters of the text: all peers and addresses that are allowed, with names of 253 characters, take fewer. */
  textChars: 32_768,
  /** As the commands of the cluster have it. */
  clusterChars: 128,
  /** One answers, or a few more would not help; and the QR code stays readable. */
  peers: 8,
  /** Of one peer. */
  addresses: 8,
  checksumBytes: 4,
});

const KIND = { cluster: 2, peer: 4, address: 6 } as const;
const FIELD_HEADER_BYTES = 3;

/** Throws INVITATION_INVALID: too many peers or addresses, or none. */
export function encodeInvitation({ cluster, peers }: Invitation): string {
  checkWhole({ cluster, peers });
  const body = Buffer.concat([
    Buffer.of(INVITATION.version),
    field(KIND.cluster, Buffer.from(cluster)),
    ...peers.flatMap(({ peerId, addresses }) => [
      field(KIND.peer, peerIdFromString(peerId).toMultihash().bytes),
      ...addresses.map((one) => field(KIND.address, multiaddr(one).bytes)),
    ]),
  ]);
  const all = Buffer.concat([body, checksumOf(body)]);
  return INVITATION.prefix + all.toString("base64url");
}

/** Spaces and line breaks do not count: a terminal or a letter may have put them in. Throws INVITATION_INVALID. */
export function decodeInvitation(given: string): Invitation {
  if (given.length > INVITATION.textChars)
    throw invalid("malformed", "it is too long to be one");
  const text = given.replaceAll(/\s/g, "");
  if (!text.startsWith(INVITATION.prefix))
    throw invalid("malformed", `it does not begin with "${INVITATION.prefix}"`);
  const encoded = text.slice(INVITATION.prefix.length);
  if (!/^[\w-]*$/.test(encoded))
    throw invalid("damaged", "it has characters that no invitation has");
  const all = Buffer.from(encoded, "base64url");
  const end = all.length - INVITATION.checksumBytes;
  if (end < 1) throw invalid("damaged", "it is cut off");
  const body = all.subarray(0, end);
  if (!checksumOf(body).equals(all.subarray(end)))
    throw invalid(
      "damaged",
      "its checksum is wrong: a part is missing or mistyped",
    );
  const version = body[0];
  if (version !== INVITATION.version)
    throw invalid(
      "newer",
      `it is of version ${version}, made by a newer Shoal`,
    );
  return read(body.subarray(1));
}

/** What --bootstrap would have for it. */
export function bootstrapsOf({ peers }: Invitation): string[] {
  return peers.flatMap(({ peerId, addresses }) =>
    addresses.map((address) => `${address}/p2p/${peerId}`),
  );
}

function read(fields: Buffer): Invitation {
  let cluster: string | undefined;
  const peers: { peerId: string; addresses: string[] }[] = [];
  for (let at = 0; at < fields.length;) {
    const kind = fields[at] ?? 0;
    const start = at + FIELD_HEADER_BYTES;
    const isCut = start > fields.length;
    const end = isCut ? start : start + fields.readUInt16BE(at + 1);
    if (isCut || end > fields.length)
      throw invalid("malformed", "a field is longer than the invitation");
    const value = fields.subarray(start, end);
    at = end;
    if (kind === KIND.cluster && cluster === undefined)
      cluster = value.toString("utf8");
    else if (kind === KIND.peer)
      peers.push({ peerId: peerIdOf(value), addresses: [] });
    else if (kind === KIND.address) {
      const peer = peers.at(-1);
      if (peer === undefined)
        throw invalid("malformed", "an address stands before any peer");
      peer.addresses.push(addressOf(value, peer.peerId));
    } else if (kind % 2 === 0)
      throw invalid(
        "newer",
        "a newer Shoal made it: it says more than this one knows",
      );
    if (peers.length > INVITATION.peers) break;
  }
  const invitation = { cluster: cluster ?? "", peers };
  checkWhole(invitation);
  return invitation;
}

function checkWhole({ cluster, peers }: Invitation): void {
  const { clusterChars, peers: mostPeers, addresses: most } = INVITATION;
  if (cluster === "" || cluster.length > clusterChars)
    throw invalid("malformed", "it names no cluster that can be one");
  if (peers.length === 0) throw invalid("malformed", "it names no peer");
  if (peers.length > mostPeers)
    throw invalid("malformed", `it names more than ${mostPeers} peers`);
  if (peers.some(({ addresses }) => addresses.length === 0))
    throw invalid("malformed", "it names a peer without an address");
  if (peers.some(({ addresses }) => addresses.length > most))
    throw invalid("malformed", `a peer has more than ${most} addresses`);
}

function peerIdOf(bytes: Uint8Array): string {
  try {
    const digest = decodeMultihash(bytes);
    return peerIdFromMultihash(digest).toString();
  } catch (error) {
    throw invalid("malformed", "a peer's key is none", error);
  }
}

function addressOf(bytes: Uint8Array, peerId: string): string {
  try {
    const address = multiaddr(bytes).toString();
    parseTarget(`${address}/p2p/${peerId}`);
    return address;
  } catch (error) {
    throw invalid("malformed", "an address is none that Shoal dials", error);
  }
}

function field(kind: number, value: Uint8Array): Buffer {
  const header = Buffer.alloc(FIELD_HEADER_BYTES);
  header.writeUInt8(kind, 0);
  header.writeUInt16BE(value.length, 1);
  return Buffer.concat([header, value]);
}

function checksumOf(body: Uint8Array): Buffer {
  return hash("sha256", body, "buffer").subarray(0, INVITATION.checksumBytes);
}

function invalid(
  reason: "malformed" | "damaged" | "newer",
  why: string,
  cause?: unknown,
): ShoalError {
  return new ShoalError(
    "INVITATION_INVALID",
    `the invitation is not understood: ${why}`,
    { reason },
    cause,
  );
}
