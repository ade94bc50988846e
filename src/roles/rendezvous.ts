/**
 * The rendezvous: knows the members of each cluster and is a DHT server from its first second.
 *
 * Start: 1. identity, 2. host and DHT, 3. cluster service. Stop: the reverse.
 */
import { join } from "node:path";
import { RendezvousService } from "../cluster/index.ts";
import { Commands, createHost } from "../network/index.ts";
import { VERSION } from "./version.ts";
import { composed, type Role, type RoleContext } from "./role.ts";

export interface RendezvousOptions {
  /** Multiaddrs to listen on. */
  listen: readonly string[];
}

export function startRendezvous(
  options: RendezvousOptions,
  { events, paths }: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const host = await createHost({
      keyPath: join(paths.state, "rendezvous.key"),
      listen: options.listen,
      events,
      version: VERSION,
    });
    events.info("CONFIG", "rendezvous", { peer: host.peerId });
    const commands = new Commands(host);
    const service = new RendezvousService({ host, commands, events });
    service.start();
    stack.defer(() => service.stop());
    await host.start();
    stack.defer(() => host.stop());
    return { peerId: host.peerId, addresses: host.addresses() };
  });
}
