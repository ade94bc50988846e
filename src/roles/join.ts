/** How a member comes into its cluster, and comes back after its rendezvous was away. */
import { ShoalError, type EventSink } from "../lib/index.ts";
import { Bootstraps, type Host } from "../network/index.ts";

export interface JoinOptions {
  host: Host;
  targets: readonly string[];
  events: EventSink;
  /** Joins at a rendezvous that was just connected. */
  join: (rendezvous: string) => Promise<void>;
  /** Give up if none answers for so long. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** Resolves once joined for the first time; rejects with BOOTSTRAP_UNREACHABLE or what the join was refused with. */
export async function joinThroughBootstraps(
  options: JoinOptions,
): Promise<Bootstraps> {
  const { host, targets, events, join, timeoutMs, signal } = options;
  const joined = Promise.withResolvers<void>();
  joined.promise.catch(() => {});
  const bootstraps = new Bootstraps({
    host,
    targets,
    events,
    onConnected: ({ peer }) => {
      join(peer).then(joined.resolve, (error: unknown) => {
        const { code, message } = ShoalError.from(error);
        events.warn("CLUSTER", `not joined: ${message}`, { peer, code });
        joined.reject(error);
      });
    },
  });
  bootstraps.start();
  try {
    await bootstraps.firstConnection({ timeoutMs, signal });
    await joined.promise;
    return bootstraps;
  } catch (error) {
    await bootstraps.stop();
    throw error;
  }
}
