/** How two machines are connected: what people want to know of a connection, beside its transport. */
import { addressClass } from "./address-class.ts";
import { transportOf } from "./address.ts";

export const WAYS = [
  "LAN",
  "direct",
  "port mapped",
  "punched UDP",
  "punched TCP",
  "relayed",
] as const;
export type Way = (typeof WAYS)[number];

/** As far as the other end's address tells. The same machine counts as the same network. */
export function wayOf(address: string): Way {
  if (transportOf(address) === "relayed") return "relayed";
  return addressClass(address) === "public" ? "direct" : "LAN";
}

/** The peer that relays; undefined where none does. */
export function relayOf(address: string): string | undefined {
  return /\/p2p\/([^/]+)\/p2p-circuit/.exec(address)?.[1];
}
