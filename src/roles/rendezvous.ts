/**
 * The rendezvous: knows the members of each cluster and is a DHT server from its first second.
 *
 * Start: 1. identity, 2. cluster service, host and DHT, 3. status over HTTP. Stop: the reverse.
 */
import { join } from "node:path";
import { RendezvousService } from "../cluster/index.ts";
import { createDiagnostics } from "../diagnostics/index.ts";
import { Commands, createHost } from "../network/index.ts";
import { CatalogService } from "../torrent/index.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import { VERSION } from "./version.ts";

export interface RendezvousOptions {
  /** Multiaddrs to listen on. */
  listen: readonly string[];
  /** Of the status over HTTP. */
  diagnosticsHost: string;
  diagnosticsPort: number;
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
    const catalog = new CatalogService({ host, commands, events });
    catalog.start();
    stack.defer(() => catalog.stop());
    await host.start();
    stack.defer(() => host.stop());
    const diagnostics = createDiagnostics({
      host: options.diagnosticsHost,
      port: options.diagnosticsPort,
      status: () => ({
        role: "rendezvous",
        version: VERSION,
        peer: host.peerId,
        addresses: host.addresses(),
        connections: host.connections(),
        dhtPeers: host.dhtPeers(),
        clusters: service.status(),
      }),
    });
    const { url } = await diagnostics.start();
    stack.defer(() => diagnostics.stop());
    events.info("STATUS", "status over HTTP", { url: `${url}/api/v1/status` });
    return { peerId: host.peerId, addresses: host.addresses(), url };
  });
}
