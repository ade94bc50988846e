/**
 * The rendezvous: knows the members of each cluster and is a DHT server from its first second.
 *
 * Start: 1. identity, 2. page over HTTP, 3. cluster service, host and DHT,
 * 4. the DHT tested from outside. Stop: the reverse.
 */
import { RendezvousService } from "../cluster/index.ts";
import { Commands, selfTestDht } from "../network/index.ts";
import { CatalogService } from "../catalog/index.ts";
import { RelayLimits, serveDialBack, serveRelay } from "../reach/index.ts";
import { RendezvousSeed, type TransferFlags } from "../weights/index.ts";
import { createRoleHost } from "./member.ts";
import { servePunching } from "./punching.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import {
  type DiagnosticsPlace,
  torrentsOfRendezvous,
  watchRole,
} from "./own-status.ts";

export interface RendezvousOptions {
  /** Multiaddrs to listen on. */
  listen: readonly string[];
  /** Of the page; undefined: none. */
  diagnostics?: DiagnosticsPlace | undefined;
  /** A gateway that its page offers to try. */
  api?: string | undefined;
  /** Relays for members that cannot reach each other, at most so many bytes per second; undefined: it does not. */
  relay?: { bytesPerSecond: number | undefined } | undefined;
  /** Undefined: it keeps no weights. */
  seed?:
    ({ directory: string; limitBytes: number } & TransferFlags) | undefined;
}

export function startRendezvous(
  options: RendezvousOptions,
  { events, paths, signal }: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const watch = watchRole("rendezvous", options.diagnostics, events);
    const limits =
      options.relay &&
      new RelayLimits({
        ...options.relay,
        events,
      });
    const host = await createRoleHost({
      name: "rendezvous",
      listen: options.listen,
      paths,
      events,
      metrics: watch.metrics,
      relay: limits,
    });
    events.info("CONFIG", "rendezvous", {
      peer: host.peerId,
      relays: limits !== undefined,
    });
    const commands = new Commands(host);
    const service = new RendezvousService({
      host,
      commands,
      events,
      keepsPublished: options.seed !== undefined,
    });
    if (limits) {
      limits.clustersOf = (peer) => service.clustersOf(peer);
      serveRelay({ host, commands, limits });
    }
    service.start();
    serveDialBack({ host, commands });
    stack.defer(() => service.stop());
    const { listen } = options;
    await servePunching(stack, { host, commands, events, service, listen });
    const catalog = new CatalogService({ host, commands, events });
    catalog.start();
    stack.defer(() => catalog.stop());
    let isListening = false;
    let seed: RendezvousSeed | undefined;
    const at = await watch.start(stack, {
      host,
      commands,
      notReady: () => (isListening ? undefined : "it is not listening yet"),
      clusters: () => service.status(),
      api: () => options.api,
      torrents: () => torrentsOfRendezvous(catalog, service, seed),
    });
    await host.start();
    isListening = true;
    stack.defer(() => host.stop());
    if (options.seed !== undefined) {
      seed = new RendezvousSeed({
        ...options.seed,
        listen: options.listen,
        stateDir: paths.state,
        peerId: host.peerId,
        service,
        catalog,
        commands,
        events,
      });
      stack.defer(() => seed?.stop());
      await seed.start();
    }
    await selfTestDht({ host, events, signal });
    return {
      peerId: host.peerId,
      addresses: host.addresses(),
      ...(at && { url: at.url, diagnosticsUrl: at.url }),
    };
  });
}
