/** What kind of network an address belongs to: who can dial it, and whether it may be somebody else's there. */
import { BlockList, isIP } from "node:net";
import { ipOf } from "./address.ts";

export type AddressClass =
  "loopback" | "link local" | "private" | "carrier" | "multicast" | "public";

/** The IANA registries of special-purpose addresses (RFC 6890). Ranges for tests and documentation count as public, as in labs they are. */
const NETS: readonly [AddressClass, string, number][] = [
  ["loopback", "127.0.0.0", 8],
  ["loopback", "::1", 128],
  ["link local", "169.254.0.0", 16],
  ["link local", "fe80::", 10],
  ["private", "10.0.0.0", 8],
  ["private", "172.16.0.0", 12],
  ["private", "192.168.0.0", 16],
  ["private", "fc00::", 7],
  ["carrier", "100.64.0.0", 10],
  ["multicast", "224.0.0.0", 4],
  ["multicast", "ff00::", 8],
  // "This network" and broadcast: nobody can be dialled there either.
  ["multicast", "0.0.0.0", 8],
  ["multicast", "255.255.255.255", 32],
  ["multicast", "::", 128],
];

const LISTS = NETS.map(([kind, net, bits]) => {
  const list = new BlockList();
  list.addSubnet(net, bits, net.includes(":") ? "ipv6" : "ipv4");
  return { kind, list };
});

/** Of an IP, or of a multiaddr's. A name, and a way through a relay, are public: they mean the same everywhere. */
export function addressClass(address: string): AddressClass {
  const ip = address.startsWith("/") ? ipOf(address) : plainIp(address);
  const version = ip === undefined ? 0 : isIP(plainIp(ip));
  if (ip === undefined || version === 0) return "public";
  const family = version === 4 ? "ipv4" : "ipv6";
  const found = LISTS.find(({ list }) => list.check(plainIp(ip), family));
  return found?.kind ?? "public";
}

/** `::ffff:192.0.2.1`, as sockets of both families name an IPv4 address, is `192.0.2.1`; a zone is left out. */
export function plainIp(ip: string): string {
  return ip.replace(/%.*$/, "").replace(/^::ffff:(?=\d+\.)/i, "");
}
