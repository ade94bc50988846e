/**
 * The gateway: finds the shards of a cluster and answers OpenAI's API.
 *
 * Start: 1. identity, 2. page and API listening (it answers 503 with the reason from its first second), 3. host and a rendezvous,
 * 4. view and vocabulary as they come. Stop: new requests are refused while the running ones end; then the reverse.
 */
import { createGateway, Keys } from "../gateway/index.ts";
import { SessionLog, SwarmBackend } from "../inference/index.ts";
import { systemClock } from "../lib/index.ts";
import { joinToStay } from "./join.ts";
import { createRoleHost, memberOf, startMember } from "./member.ts";
import { composed, type Role, type RoleContext } from "./role.ts";
import {
  type DiagnosticsPlace,
  sessionsOfGateway,
  watchRole,
} from "./own-status.ts";

export interface GatewayRoleOptions {
  bootstraps: readonly string[];
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
    const member = memberOf(host, { events, cluster });
    const { commands, membership } = member;
    const sessions = new SessionLog(Date.now, (session) =>
      watch.onSession(session),
    );
    const backend = new SwarmBackend(
      {
        host,
        commands,
        membership,
        events,
        dataDir: paths.data,
        sessions,
        recoveryTimeoutMs: options.recoveryTimeoutMs,
        readyTimeoutMs: options.readyTimeoutMs,
      },
      options.onReady,
    );
    let apiUrl: string | undefined;
    let isDraining = false;
    const at = await watch.start(stack, {
      host,
      commands,
      notReady: () =>
        isDraining ? "the gateway is stopping" : backend.notReady()?.message,
      clusters: () => [membership.status()],
      api: () => apiUrl,
      sessions: () => sessionsOfGateway(sessions, backend.maxSessions()),
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
    await startMember(stack, member);
    stack.defer(() => backend.stop());
    backend.start();

    const endReport = await joinToStay(stack, {
      ...options,
      host,
      membership,
      stateDir: paths.state,
      events,
      join: async (peer) => {
        const members = await membership.join(peer);
        events.info("CLUSTER", "subscribed to the cluster", {
          cluster,
          members,
        });
      },
      signal,
    });
    stack.defer(endReport);
    // Before all else: what runs still has the cluster, and ends or is told why it cannot.
    stack.defer(() => api.stop());
    return {
      failed: member.failed,
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
