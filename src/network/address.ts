/**
 * Parses addresses that people type, and describes the addresses of connections.
 *
 *     parseTarget("rendezvous.example")          → QUIC, then TCP, on port 51820
 *     parseTarget("[2001:db8::1]:4000")          → QUIC, then TCP, on port 4000
 *     parseTarget("/ip4/10.0.0.7/tcp/51820/p2p/12D3KooW…")  → exactly this, and only this peer
 */
import { isIP } from "node:net";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { Circuit, QUIC_V1, TCP } from "@multiformats/multiaddr-matcher";
import { ShoalError } from "../lib/index.ts";
import { DEFAULTS } from "./defaults.ts";

/** A peer to reach: its id, if known, and its possible addresses. */
export interface PeerTarget {
  peerId?: string | undefined;
  addresses: readonly string[];
  /** An operator named these, so all are dialled. Of what a peer says of itself, only what may lead there from here (dialable.ts). */
  named?: boolean | undefined;
}

export type TransportName = "QUIC" | "TCP" | "relayed";

/** Lower is better: the order in which addresses are tried and connections preferred. */
export const TRANSPORT_RANK: Readonly<Record<TransportName, 0 | 1 | 2>> = {
  QUIC: 0,
  TCP: 1,
  relayed: 2,
};

/** RFC 1123, loosely: names to pass to a resolver. */
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** What an operator typed after --bootstrap. */
export function parseTarget(
  text: string,
  defaultPort: number = DEFAULTS.port,
): PeerTarget {
  const trimmed = text.trim();
  if (trimmed.startsWith("/")) {
    const address = parseMultiaddr(trimmed, text);
    const peerId = peerIdOf(address);
    return { ...(peerId && { peerId }), addresses: [address.toString()] };
  }
  const [place = "", id, ...rest] = trimmed.split("/p2p/");
  if (rest.length > 0) throw invalid(text, "it names two peers");
  if (id !== undefined) checkPeerId(id, text);
  const { host, port } = parseHostPort(place, defaultPort, text);
  if (port === 0) throw invalid(text, "port 0 cannot be dialled");
  const suffix = id === undefined ? "" : `/p2p/${id}`;
  return {
    ...(id !== undefined && { peerId: id }),
    addresses: bothTransports(host, port).map((a) => a + suffix),
  };
}

/** What an operator typed after --listen: a multiaddr, `host`, `host:port`, or a port alone (all IPv4 interfaces). */
export function parseListen(
  text: string,
  defaultPort: number = DEFAULTS.port,
): string[] {
  const trimmed = text.trim();
  if (trimmed.startsWith("/")) {
    const address = parseMultiaddr(trimmed, text);
    if (peerIdOf(address) !== undefined)
      throw invalid(text, "an address to listen on must not name a peer");
    if (!isIP(hostOf(address)))
      throw invalid(text, "an address to listen on must be an IP address");
    return [address.toString()];
  }
  const { host, port } = /^\d+$/.test(trimmed)
    ? parseHostPort(`0.0.0.0:${trimmed}`, defaultPort, text)
    : parseHostPort(trimmed, defaultPort, text);
  if (isIP(host) === 0)
    throw invalid(text, "an address to listen on must be an IP address");
  return bothTransports(host, port);
}

/** A connection's transport, named for people. */
export function transportOf(address: string): TransportName {
  if (address.includes("/p2p-circuit")) return "relayed";
  return address.includes("/quic-v1") ? "QUIC" : "TCP";
}

/** 0 is the best. */
export function rankOf(address: string): 0 | 1 | 2 {
  return TRANSPORT_RANK[transportOf(address)];
}

/** The id an address ends in, if any. */
export function peerIdOf(address: Multiaddr): string | undefined {
  return address.getComponents().findLast((c) => c.name === "p2p")?.value;
}

/** `/ip4/10.0.0.7/udp/51820/quic-v1/p2p/…` → "QUIC 10.0.0.7:51820", for people. */
export function describeAddress(address: string): string {
  const parts = address.split("/");
  const host = parts[2] ?? "?";
  const port = parts[4] ?? "?";
  return `${transportOf(address)} ${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The IP in an address of a connection; undefined where it names none, or another peer's that relays. */
export function ipOf(address: string): string | undefined {
  const [, kind, host] = address.split("/");
  if (address.includes("/p2p-circuit")) return undefined;
  return kind === "ip4" || kind === "ip6" ? host : undefined;
}

function bothTransports(host: string, port: number): string[] {
  const version = isIP(host);
  const family = version === 4 ? "ip4" : version === 6 ? "ip6" : "dns";
  return [
    `/${family}/${host}/udp/${port}/quic-v1`,
    `/${family}/${host}/tcp/${port}`,
  ];
}

function parseMultiaddr(trimmed: string, text: string): Multiaddr {
  let address: Multiaddr;
  try {
    address = multiaddr(trimmed);
  } catch (error) {
    throw invalid(text, "it is not a multiaddr", error);
  }
  const id = peerIdOf(address);
  if (id !== undefined) checkPeerId(id, text);
  if (
    QUIC_V1.exactMatch(address) ||
    TCP.exactMatch(address) ||
    Circuit.exactMatch(address)
  ) {
    return address;
  }
  const protocols = new Set(address.getComponents().map((c) => c.name));
  throw invalid(
    text,
    protocols.has("udp") && !protocols.has("quic-v1")
      ? "UDP needs /quic-v1 after the port"
      : "it names neither QUIC (/udp/…/quic-v1) nor TCP (/tcp/…)",
  );
}

function parseHostPort(
  place: string,
  defaultPort: number,
  text: string,
): { host: string; port: number } {
  // A bare IPv6 address; with a port it needs brackets.
  if (isIP(place) === 6) return { host: place, port: defaultPort };
  if (place.split(":").length > 2 && !place.startsWith("["))
    throw invalid(text, "an IPv6 address with a port needs brackets");
  const [, v6, plain, portText] =
    /^(?:\[(.*)\]|([^:]*))(?::(.*))?$/.exec(place) ?? [];
  const host = v6 ?? plain ?? "";
  if (host === "") throw invalid(text, "the host is missing");
  if (v6 !== undefined && isIP(v6) !== 6)
    throw invalid(text, "only an IPv6 address may be in brackets");
  if (isIP(host) === 0 && (!HOST_NAME.test(host) || /^[\d.]+$/.test(host)))
    throw invalid(text, `"${host}" is neither an IP address nor a host name`);
  if (portText === undefined) return { host, port: defaultPort };
  const port = Number(portText);
  if (!/^\d{1,5}$/.test(portText) || port > 65_535)
    throw invalid(text, `the port must be 0 to 65535, got "${portText}"`);
  return { host, port };
}

function hostOf(address: Multiaddr): string {
  return address.getComponents()[0]?.value ?? "";
}

function checkPeerId(id: string, text: string): void {
  try {
    peerIdFromString(id);
  } catch (error) {
    throw invalid(text, `"${id}" is not a peer id`, error);
  }
}

function invalid(text: string, reason: string, cause?: unknown): ShoalError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return new ShoalError(
    "ADDRESS_INVALID",
    `address "${shown}": ${reason}`,
    { address: shown },
    cause,
  );
}
