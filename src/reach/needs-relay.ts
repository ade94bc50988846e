/** Whether a machine needs a relay to be reached, as far as that is known before anybody has dialled it. */
import { addressClass, interfaceIps, plainIp } from "../network/index.ts";

/**
 * A machine that the relay sees at an address which is its own and public can be dialled, unless a firewall forbids it. One that is seen on
 * loopback shares the relay's machine.
 */
export function needsRelay(
  seenAt: string | null,
  own: readonly string[] = interfaceIps(),
): boolean {
  if (seenAt === null) return true;
  const kind = addressClass(seenAt);
  if (kind === "loopback") return false;
  return kind !== "public" || !own.includes(plainIp(seenAt));
}
