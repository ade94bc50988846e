/** An open connection as its host tells of it. */
import type { Connection } from "@libp2p/interface";
import { ShoalError, withDeadline } from "../lib/index.ts";
import { ipOf, type TransportName } from "./address.ts";
import { addressClass } from "./address-class.ts";
import { DEFAULTS } from "./defaults.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { localAddressTo } from "./local-address.ts";
import { relayOf, type Way, wayOf } from "./way.ts";

export interface ConnectionInfo {
  /** In this process. */
  id: string;
  peer: string;
  /** The remote address in use, with /p2p/. */
  address: string;
  transport: TransportName;
  way: Way;
  /** The peer that relays, where one does. */
  relay?: string | undefined;
  direction: "inbound" | "outbound";
  /** Smoothed round trip; undefined until one was measured. */
  rttMs: number | undefined;
  /** The least round trip of the last seconds: what the link takes without load. */
  leastRttMs: number | undefined;
  /** When it opened, ms since the epoch. */
  sinceMs: number;
}

export interface Tracked {
  connection: Connection;
  heartbeat: Heartbeat;
  transport: TransportName;
  /** Where somebody knows more than the address tells. */
  way: Way | undefined;
  /** The address of this machine that it leaves from; undefined while unknown, and for loopback. */
  ownIp?: string | undefined;
}

/** It has no packet that tells. So it is asked when it opens, while the way is what it was when the connection was made. */
export async function noteOwnIp(tracked: Tracked): Promise<void> {
  const ip = ipOf(tracked.connection.remoteAddr.toString());
  if (ip === undefined || addressClass(ip) === "loopback") return;
  tracked.ownIp = await localAddressTo(ip);
}

/**
 * Whether its own address is not among these any more, and packets to the peer leave from another. Without another way nothing is better than to
 * wait: a cable that is plugged in again has its address back.
 */
export async function leavesFromElsewhere(
  { connection, ownIp }: Tracked,
  own: readonly string[],
): Promise<boolean> {
  if (ownIp === undefined || own.includes(ownIp)) return false;
  const ip = ipOf(connection.remoteAddr.toString()) ?? "";
  const now = await localAddressTo(ip);
  return now !== undefined && now !== ownIp;
}

/** An answer takes longer than `doubtMs` only where the machine or the link is busy. */
export async function endIfSilent({
  connection,
  heartbeat,
}: Tracked): Promise<void> {
  try {
    await withDeadline(2 * DEFAULTS.doubtMs, "echo", () => heartbeat.ping());
  } catch (error) {
    if (connection.status === "open") connection.abort(ShoalError.from(error));
  }
}

export function describe({
  connection,
  heartbeat,
  transport,
  way,
}: Tracked): ConnectionInfo {
  const address = connection.remoteAddr.toString();
  return {
    ...describeBare(connection, transport),
    way: way ?? wayOf(address),
    rttMs: heartbeat.rttMs,
    leastRttMs: heartbeat.leastRttMs,
  };
}

/** Of one that nobody measures. */
export function describeBare(
  connection: Connection,
  transport: TransportName,
): ConnectionInfo {
  const address = connection.remoteAddr.toString();
  const relay = relayOf(address);
  return {
    id: connection.id,
    peer: connection.remotePeer.toString(),
    address,
    transport,
    way: wayOf(address),
    ...(relay !== undefined && { relay }),
    direction: connection.direction,
    rttMs: undefined,
    leastRttMs: undefined,
    sinceMs: connection.timeline.open,
  };
}
