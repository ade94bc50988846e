import { BlockList, isIP } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8);
LOOPBACK.addAddress("::1", "ipv6");

/** Whether a host to listen on is this machine alone: a name or an address, without brackets. */
export function isLoopback(host: string): boolean {
  const version = isIP(host);
  if (version === 0) return host === "localhost";
  return LOOPBACK.check(host, version === 4 ? "ipv4" : "ipv6");
}
