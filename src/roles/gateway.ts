/**
 * The gateway: finds the shards of its clusters and answers the APIs.
 *
 * Start: 1. identity, 2. page and API listening (it answers 503 with the reason from its first second), 3. host and a rendezvous,
 * 4. clusters, their views and vocabularies as they come. Stop: new requests are refused while the running ones end; then the reverse.
 */
import { createGateway, Keys } from "../gateway/index.ts";
import { SessionLog } from "../inference/index.ts";
import { ShoalError, steadyClock, systemClock } from "../lib/index.ts";
import { Commands } from "../network/index.ts";
import { Puncher } from "../reach/index.ts";
import { ClusterFinder } from "./cluster-finder.ts";
import { joinCluster } from "./join.ts";
import { createRoleHost } from "./member.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import {
  type DiagnosticsPlace,
  sessionsOfGateway,
  watchRole,
} from "./own-status.ts";
import { ServedClusters } from "./served-clusters.ts";

/** In place of a cluster's name: all that the bootstraps tell of. */
export const ALL_CLUSTERS = "*";

export interface GatewayRoleOptions {
  bootstraps: readonly string[];
  /** A name, several with commas between, or ALL_CLUSTERS. */
  cluster: string;
  listen: readonly string[];
  apiHost: string;
  apiPort: number;
  apiKey?: string | undefined;
  /** A file of keys with limits, which is watched. */
  apiKeys?: string | undefined;
  corsOrigin?: string | undefined;
  /** Of a second listener on 127.0.0.1, for Ollama's clients; undefined: none. */
  ollamaPort?: number | undefined;
  /** Names in a request's Host besides the machine's own. */
  allowHosts?: readonly string[] | undefined;
  /** Unknown fields and another model's name are errors. */
  strict?: boolean | undefined;
  /** How long a reply waits for a lost stage; default: 60 s. */
  recoveryTimeoutMs?: number | undefined;
  /** How long a request waits while the cluster is not ready; default: 30 s. */
  readyTimeoutMs?: number | undefined;
  /** Of the page; undefined: none. */
  diagnostics?: DiagnosticsPlace | undefined;
  bootstrapTimeoutMs: number;
  /** Told when prompts can be answered, and when no longer. */
  onReady?: ((ready: boolean) => void) | undefined;
}

export function startGateway(
  options: GatewayRoleOptions,
  { events, paths, signal }: RoleContext,
): Promise<Role> {
  return composed(async (stack) => {
    const {
      bootstraps,
      cluster,
      listen,
      apiHost,
      apiPort,
      apiKey,
      apiKeys,
      corsOrigin,
      ollamaPort,
      allowHosts,
      strict,
    } = options;
    const named = cluster === ALL_CLUSTERS ? [] : clusterNames(cluster);
    if (named.length === 0 && bootstraps.length === 0)
      throw new ShoalError(
        "USAGE",
        '--cluster "*" needs --bootstrap: in the local network clusters are found by their names',
        { option: "--bootstrap" },
      );
    const keys =
      apiKeys === undefined
        ? undefined
        : await Keys.open(apiKeys, { clock: systemClock, events });
    stack.defer(() => keys?.stop());
    const watch = watchRole("gateway", options.diagnostics, events);
    const host = await createRoleHost({
      name: "gateway",
      listen,
      paths,
      events,
      metrics: watch.metrics,
    });
    events.info("CONFIG", "gateway", {
      cluster,
      bootstrap: bootstraps,
      peer: host.peerId,
    });
    const commands = new Commands(host);
    const sessions = new SessionLog(Date.now, (session) =>
      watch.onSession(session),
    );
    const failed = Promise.withResolvers<ShoalError>();
    const clusters = new ServedClusters({
      ...options,
      host,
      commands,
      events,
      paths,
      sessions,
      onIdentityTaken: failed.resolve,
    });
    const backend = clusters.backends;
    let apiUrl: string | undefined;
    let isDraining = false;
    const at = await watch.start(stack, {
      host,
      commands,
      notReady: () =>
        isDraining ? "the gateway is stopping" : backend.notReady()?.message,
      clusters: () => clusters.status(),
      api: () => apiUrl,
      sessions: () => sessionsOfGateway(sessions, clusters.maxSessions()),
    });
    const api = createGateway({
      backend,
      events,
      host: apiHost,
      port: apiPort,
      ...(apiKey !== undefined && { apiKey }),
      ...(keys !== undefined && { keys }),
      ...(corsOrigin !== undefined && { corsOrigin }),
      ...(ollamaPort !== undefined && { ollamaPort }),
      ...(allowHosts !== undefined && { allowHosts }),
      ...(strict !== undefined && { strict }),
      ...(at && { pagePort: at.port }),
    });
    const { url } = await api.start();
    stack.defer(() => api.stop());
    apiUrl = url;
    clusters.start();
    const puncher = new Puncher({ host, commands, events });
    puncher.start();
    stack.defer(() => puncher.stop());
    await host.start();
    stack.defer(() => host.stop());
    stack.defer(() => clusters.stop());
    for (const name of named) await clusters.open(name);
    const how = { commands, events, clusters, clock: steadyClock };
    const finder = cluster === ALL_CLUSTERS && new ClusterFinder(how);
    await joinCluster(stack, {
      ...options,
      host,
      commands,
      events,
      puncher,
      join: async (peer, only) => {
        await clusters.join(peer, only);
        if (finder) await finder.look();
      },
      lan: {
        clusters: named,
        knows: (peer, name) => clusters.knows(peer, name),
      },
      relays: () => clusters.relays(),
      signal,
    });
    if (finder) {
      finder.start();
      stack.defer(() => finder.stop());
    }
    // Before all else: what runs still has the cluster, and ends or is told why it cannot.
    stack.defer(() => api.stop());
    return {
      failed: failed.promise,
      peerId: host.peerId,
      addresses: host.addresses(),
      url,
      drain: async () => {
        isDraining = true;
        await api.drain();
      },
      ...(at && { diagnosticsUrl: at.url }),
    };
  });
}

/** Throws USAGE. */
function clusterNames(list: string): string[] {
  const names = list.split(",").map((name) => name.trim());
  const wrong = names.find((name) => name === "" || name === ALL_CLUSTERS);
  if (wrong === undefined) return [...new Set(names)];
  throw new ShoalError(
    "USAGE",
    `--cluster is a name, several with commas between, or "*" for all, not ${JSON.stringify(list)}`,
    { option: "--cluster" },
  );
}
