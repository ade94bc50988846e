/** How a member comes into its cluster, and comes back after its rendezvous was away. */
import { ShoalError, type EventSink } from "../lib/index.ts";
import { Bootstraps, type Commands, type Host } from "../network/index.ts";
import {
  keepClusterRecord,
  type KeptRecordOptions,
} from "./saved-cluster-record.ts";
import { reportReadiness } from "../inference/index.ts";
import {
  OwnAddresses,
  type OwnAddressesOptions,
  serveDialBack,
} from "../reach/index.ts";

export interface JoinOptions {
  host: Host;
  /** Finds out where this machine is reached; without it (a guest for a moment) nobody does. */
  commands?: Commands | undefined;
  bootstraps: readonly string[];
  events: EventSink;
  /** Joins at a rendezvous that was just connected. */
  join: (rendezvous: string) => Promise<void>;
  /** Give up if none answers for so long. */
  bootstrapTimeoutMs: number;
  signal: AbortSignal;
}

/**
 * Resolves once joined for the first time; rejects with BOOTSTRAP_UNREACHABLE or what the join was refused with. Joins again whenever
 * a rendezvous comes back, until `stack` is disposed.
 */
export async function joinThroughBootstraps(
  stack: AsyncDisposableStack,
  options: JoinOptions,
): Promise<void> {
  const { host, commands, events, join, signal } = options;
  const joined = Promise.withResolvers<void>();
  joined.promise.catch(() => {});
  const own = commands && findOut(stack, { host, commands, events });
  const bootstraps = new Bootstraps({
    host,
    targets: options.bootstraps,
    events,
    onConnected: ({ peer }) => {
      void own?.joined(peer);
      join(peer).then(joined.resolve, (error: unknown) => {
        const { code, message } = ShoalError.from(error);
        events.warn("CLUSTER", `could not join: ${message}`, { peer, code });
        joined.reject(error);
      });
    },
  });
  bootstraps.start();
  stack.defer(() => bootstraps.stop());
  const timeoutMs = options.bootstrapTimeoutMs;
  await bootstraps.firstConnection({ timeoutMs, signal });
  await joined.promise;
}

/**
 * As a member that is there for the cluster: it also tells of readiness, and keeps the cluster's record. Returns the function that ends
 * the telling: call it before the member leaves, because then the view loses its members.
 */
export async function joinToStay(
  stack: AsyncDisposableStack,
  options: JoinOptions & KeptRecordOptions,
): Promise<() => void> {
  const endReport = reportReadiness(options.membership, options.events);
  stack.defer(endReport);
  stack.defer(await keepClusterRecord(options));
  await joinThroughBootstraps(stack, options);
  return endReport;
}

/** Where this machine is reached; and tells others where they are. */
function findOut(
  stack: AsyncDisposableStack,
  options: OwnAddressesOptions,
): OwnAddresses {
  serveDialBack(options);
  const own = new OwnAddresses(options);
  own.start();
  stack.defer(() => own.stop());
  return own;
}
