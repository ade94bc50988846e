/** How a member comes into its cluster, through bootstraps or the local network, and comes back after its rendezvous was away. */
import { ShoalError, type EventSink } from "../lib/index.ts";
import type { ClusterView, Membership } from "../cluster/index.ts";
import {
  Bootstraps,
  type Commands,
  type Host,
  type PeerTarget,
} from "../network/index.ts";
import { LanJoiner, type LanJoinerOptions } from "./lan.ts";
import {
  keepClusterRecord,
  type KeptRecordOptions,
} from "./saved-cluster-record.ts";
import { reportReadiness } from "../inference/index.ts";
import {
  OwnAddresses,
  type OwnAddressesOptions,
  Relays,
  serveDialBack,
  type Puncher,
} from "../reach/index.ts";

export interface JoinOptions {
  host: Host;
  /** Finds out where this machine is reached; without it (a guest for a moment) nobody does. */
  commands?: Commands | undefined;
  /** Empty: members are looked for in the local network. */
  bootstraps: readonly string[];
  events: EventSink;
  /** Gets this member through routers, with each rendezvous' help; undefined: nothing does. */
  puncher?: Puncher | undefined;
  /** Joins at a rendezvous or member that was just connected; of a gateway in several clusters, this one if it is named. */
  join: (through: string, cluster?: string) => Promise<void>;
  /** Members that relay: others are to reach it through them if need be. Undefined where nobody dials it. */
  relays?: (() => PeerTarget[]) | undefined;
  /** Give up if none answers for so long. */
  bootstrapTimeoutMs: number;
  /** What is looked for in the local network, and how. */
  lan: LanOptions;
  signal: AbortSignal;
}

export interface LanOptions extends Pick<LanJoinerOptions, "knows"> {
  clusters: readonly string[];
  /** It is there for a moment: nobody finds it, and it fails if it finds nobody. */
  isGuest?: boolean;
}

/** Of one cluster. */
export function lanOf(
  membership: Pick<Membership, "cluster" | "knows">,
  { isGuest = false } = {},
): LanOptions {
  const knows = (peer: string): boolean => membership.knows(peer);
  return { clusters: [membership.cluster], knows, isGuest };
}

/** A start waits for so long for somebody in the local network: an answer takes some 20 ms, a dial and a join less than a second. */
const FIRST_MS = 2_000;

/** Joins through bootstraps, or where there are none through the local network: see the two below. */
export async function joinCluster(
  stack: AsyncDisposableStack,
  options: JoinOptions,
): Promise<void> {
  if (options.bootstraps.length > 0)
    await joinThroughBootstraps(stack, options);
  else await joinThroughLan(stack, options);
}

/**
 * Joins through everyone who is found in the local network and not known yet, until `stack` is disposed. The first member is alone and
 * goes on; a guest rejects with BOOTSTRAP_UNREACHABLE.
 */
async function joinThroughLan(
  stack: AsyncDisposableStack,
  options: JoinOptions,
): Promise<void> {
  const { host, commands, events, join, lan, signal } = options;
  const { clusters, isGuest = false } = lan;
  const timeoutMs = options.bootstrapTimeoutMs;
  const own = commands && findOut(stack, { host, commands, events });
  const joiner = new LanJoiner({
    ...options,
    ...lan,
    isGuest,
    join: async (peer, cluster) => {
      void own?.joined(peer);
      await join(peer, cluster);
    },
  });
  stack.defer(() => joiner.stop());
  await joiner.start();
  const names = clusters.join(", ");
  if (await joiner.joinedWithin(isGuest ? timeoutMs : FIRST_MS, signal)) return;
  if (!isGuest) {
    const what = `nobody else of ${names} is in the local network yet: whoever comes is found`;
    events.info("CONNECT", what, { clusters: [...clusters] });
    return;
  }
  const why = joiner.lastProblem;
  throw new ShoalError(
    "BOOTSTRAP_UNREACHABLE",
    `no member of ${names} ${why === undefined ? "was found" : "could be joined"} in the local network within ${timeoutMs / 1000} s${why === undefined ? "" : ` (${why})`}; name one with --bootstrap or --join`,
    { clusters: [...clusters], timeoutMs },
  );
}

/**
 * Resolves once joined for the first time; rejects with BOOTSTRAP_UNREACHABLE or what the join was refused with. Joins again whenever
 * a rendezvous comes back, until `stack` is disposed.
 */
export async function joinThroughBootstraps(
  stack: AsyncDisposableStack,
  options: Omit<JoinOptions, "lan">,
): Promise<void> {
  const { host, commands, events, join, signal } = options;
  const joined = Promise.withResolvers<void>();
  joined.promise.catch(() => {});
  const own = commands && findOut(stack, { host, commands, events });
  const relays =
    own && options.relays && keepPlaces(stack, own, options.relays, options);
  const bootstraps = new Bootstraps({
    host,
    targets: options.bootstraps,
    events,
    onConnected: ({ peer }) => {
      void own?.joined(peer);
      options.puncher?.use(peer);
      const comeIn = async (): Promise<void> => {
        // Its first word to the others says already where they reach it.
        await relays?.at(peer);
        await join(peer);
      };
      comeIn().then(joined.resolve, (error: unknown) => {
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

/** The members that relay. */
export function relaysOf(membership: Membership): PeerTarget[] {
  return membership
    .announcements()
    .filter(({ relay }) => relay === true)
    .map(({ peer: peerId, addresses }) => ({ peerId, addresses }));
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
  await joinCluster(stack, options);
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

/** At relays, where others do not reach this machine. */
function keepPlaces(
  stack: AsyncDisposableStack,
  own: OwnAddresses,
  offers: () => PeerTarget[],
  { host, commands, events }: Omit<JoinOptions, "lan">,
): Relays | undefined {
  if (commands === undefined) return undefined;
  const isReached = (): boolean | undefined => own.state.isReached;
  const relays = new Relays({ host, commands, events, offers, isReached });
  relays.start();
  stack.defer(() => relays.stop());
  return relays;
}

/** Throws CLUSTER_MODEL_MISMATCH. */
export function refuseOtherModel(
  view: ClusterView | undefined,
  model: string,
): void {
  if (view === undefined || view.manifest === model) return;
  throw new ShoalError(
    "CLUSTER_MODEL_MISMATCH",
    `the cluster serves another model, ${view.model} (${view.manifest}): this node's is ${model}`,
    { cluster: view.manifest, node: model },
  );
}
