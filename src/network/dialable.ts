/**
 * Which of a peer's announced addresses may lead to it from here. Every home is 192.168.1.0/24: a private address of another home is the
 * dialler's own printer. Pure.
 */
import { isIP } from "node:net";
import { addressClass } from "./address-class.ts";
import { ipOf } from "./address.ts";

export interface Places {
  /** The public IPs at which this host and the peer are seen; empty: nobody knows. */
  own: readonly string[];
  theirs: readonly string[];
  /** The IPs of this machine's interfaces. */
  interfaces: readonly string[];
}

/** Private ones only on the same network, or if nobody knows where one of the two is; loopback only on the same machine. */
export function worthDialling(
  addresses: readonly string[],
  places: Places,
): string[] {
  const together = areTogether(places.own, places.theirs);
  const ips = addresses.flatMap((address) => ipOf(address) ?? []);
  const others = ips.filter((ip) => addressClass(ip) !== "loopback");
  const isHere =
    others.length === 0 || others.some((ip) => places.interfaces.includes(ip));
  const worth = addresses.filter((address) => {
    const kind = addressClass(address);
    if (kind === "public") return true;
    if (kind === "multicast") return false;
    if (kind === "loopback") return isHere && together !== false;
    // Of an overlay network, which both have joined: then a carrier's router is not what has it.
    if (kind === "carrier" && hasCarrier(places.interfaces)) return true;
    return together !== false;
  });
  if (together !== true) return worth;
  // Many routers do not lead what comes from inside back in.
  return [...worth.filter(isNear), ...worth.filter((a) => !isNear(a))];
}

function isNear(address: string): boolean {
  return addressClass(address) !== "public";
}

/** Undefined: unknown. IPv6 gives each machine an address of its own, of the same /64. */
function areTogether(
  own: readonly string[],
  theirs: readonly string[],
): boolean | undefined {
  const others = new Set(theirs.map(siteOf));
  if (own.some((ip) => others.has(siteOf(ip)))) return true;
  const isComparable = own.some((ip) =>
    theirs.some((other) => isIP(ip) === isIP(other)),
  );
  return isComparable ? false : undefined;
}

function siteOf(ip: string): string {
  if (isIP(ip) !== 6) return ip;
  const [head = "", tail] = ip.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from(
    { length: tail === undefined ? 0 : 8 - before.length - after.length },
    () => "0",
  );
  const groups = [...before, ...zeros, ...after].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16)).join(":")}/64`;
}

function hasCarrier(interfaces: readonly string[]): boolean {
  return interfaces.some((ip) => addressClass(ip) === "carrier");
}
