/**
 * A client: a member that holds nothing and answers nobody; it computes with the cluster and knows its state. What a gateway is, without
 * HTTP, for a program that has the cluster in its own process.
 */
import { randomUUID } from "node:crypto";
import type { ClusterView } from "../cluster/index.ts";
import {
  readyModel,
  Replies,
  type ReplyRequest,
  type ReplyPart,
} from "../gateway/index.ts";
import { SessionLog, SwarmBackend } from "../inference/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { ClusterStatus } from "../status/index.ts";
import { joinCluster, lanOf } from "./join.ts";
import { createGuest, startMember } from "./member.ts";
import { composed, type Role, type RoleContext } from "./role.ts";

export interface ClientOptions {
  bootstraps: readonly string[];
  cluster: string;
  listen: readonly string[];
  bootstrapTimeoutMs: number;
  /** How long a prompt waits while the cluster is not ready; default: 30 s. */
  readyTimeoutMs?: number | undefined;
  /** How long a reply waits for a lost stage; default: 60 s. */
  recoveryTimeoutMs?: number | undefined;
  /** Told when prompts can be answered, and when no longer. */
  onReady?: ((ready: boolean) => void) | undefined;
}

export interface ClientRole extends Role {
  /** Why prompts cannot be answered now; undefined where they can. */
  notReady(): ShoalError | undefined;
  /** The cluster as this member sees it. */
  status(): ClusterStatus;
  /** Called with every change of the view, and with the current one at once. Returns the function that unsubscribes. */
  onChange(listener: (view: ClusterView | undefined) => void): () => void;
  /** Ends with an error when the client stops. Waits while the cluster is not ready, then throws SWARM_NOT_READY, and what a gateway would answer with. */
  generate(
    request: ReplyRequest,
    signal: AbortSignal,
  ): AsyncGenerator<ReplyPart, void, undefined>;
}

export async function startClient(
  options: ClientOptions,
  { events, paths, signal }: RoleContext,
): Promise<ClientRole> {
  const stopping = new AbortController();
  const { cluster, listen, onReady } = options;
  const member = await createGuest({ cluster, listen, events });
  const { host, commands, membership } = member;
  const sessions = new SessionLog(Date.now);
  const backend = new SwarmBackend(
    {
      host,
      commands,
      membership,
      events,
      dataDir: paths.data,
      sessions,
      readyTimeoutMs: options.readyTimeoutMs,
      recoveryTimeoutMs: options.recoveryTimeoutMs,
    },
    onReady,
  );
  const role = await composed(async (stack) => {
    await startMember(stack, member);
    stack.defer(() => backend.stop());
    backend.start();
    await joinCluster(stack, {
      ...options,
      host,
      commands,
      events,
      puncher: member.puncher,
      join: async (peer) => {
        await membership.join(peer);
      },
      lan: lanOf(membership, { isGuest: true }),
      signal,
    });
    stack.defer(() =>
      stopping.abort(new ShoalError("ABORTED", "the client was stopped")),
    );
    return { peerId: host.peerId, addresses: host.addresses() };
  });
  const replies = new Replies();
  return {
    ...role,
    notReady: () => backend.notReady(),
    status: () => membership.status(),
    onChange: (listener) => membership.onChange(listener),
    async *generate(request, ending) {
      stopping.signal.throwIfAborted();
      const arrival = {
        requestId: randomUUID(),
        arrivedMs: Date.now(),
        signal: AbortSignal.any([ending, stopping.signal]),
      };
      const model = await readyModel(backend, undefined, arrival);
      const begun = await replies.begin(model, request, arrival);
      for (const reply of begun.replies) yield* reply.generated;
    },
  };
}
