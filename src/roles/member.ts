/** What a role is made of before it does anything of its own: a host with an identity, its commands, and its place in a cluster. */
import { join } from "node:path";
import {
  clusterRecordKinds,
  Membership,
  type MembershipOptions,
} from "../cluster/index.ts";
import {
  type EventSink,
  type Paths,
  type ShoalError,
  VERSION,
} from "../lib/index.ts";
import { Puncher, type RelayLimits, serveRelay } from "../reach/index.ts";
import {
  Commands,
  createHost,
  type Host,
  type HostMetrics,
  refuseTakenPorts,
  type RelayPolicy,
} from "../network/index.ts";

export interface RoleHostOptions {
  /** Names the role's files in the state folder. */
  name: "rendezvous" | "node" | "seeder" | "gateway";
  listen: readonly string[];
  paths: Paths;
  events: EventSink;
  metrics?: HostMetrics | undefined;
  /** It relays. */
  relay?: RelayPolicy | undefined;
}

/** A host whose identity and database outlive the process. Throws HOME_IN_USE or PORT_IN_USE, before models are read or hashed. */
export async function createRoleHost({
  name,
  paths,
  ...options
}: RoleHostOptions): Promise<Host> {
  const host = await createHost({
    ...options,
    ...placesOf(paths, name),
    recordKinds: clusterRecordKinds(),
    version: VERSION,
  });
  try {
    await refuseTakenPorts(options.listen);
  } catch (error) {
    await host.stop();
    throw error;
  }
  return host;
}

/** Where a role keeps its identity and its database. */
export function placesOf(
  { state }: Paths,
  name: RoleHostOptions["name"],
): { keyPath: string; datastorePath: string } {
  return {
    keyPath: join(state, `${name}.key`),
    datastorePath: join(state, `${name}-datastore`),
  };
}

export interface Member {
  host: Host;
  commands: Commands;
  membership: Membership;
  puncher: Puncher;
  /** Why the process must stop: another has its identity. Pending for as long as it is its own. */
  failed: Promise<ShoalError>;
}

type OfCluster = Omit<
  MembershipOptions,
  "host" | "commands" | "relays" | "onIdentityTaken"
>;

/** `limits`: it relays, for its cluster's members above all. */
export function memberOf(
  host: Host,
  options: OfCluster,
  limits?: RelayLimits,
): Member {
  const commands = new Commands(host);
  const { promise: failed, resolve } = Promise.withResolvers<ShoalError>();
  const how = { ...options, onIdentityTaken: resolve };
  const relays = limits !== undefined;
  const membership = new Membership({ host, commands, relays, ...how });
  if (limits !== undefined) {
    limits.clustersOf = (peer) =>
      membership.knows(peer) ? [options.cluster] : [];
    serveRelay({ host, commands, limits });
  }
  const { events } = options;
  const puncher = new Puncher({ host, commands, events });
  return { host, commands, membership, puncher, failed };
}

/** A member for a moment: it has a key for this run only, and nobody stores anything with it. */
export async function createGuest(
  options: OfCluster & { listen: readonly string[] },
): Promise<Member> {
  const { listen, events } = options;
  const host = await createHost({
    listen,
    events,
    version: VERSION,
    recordKinds: clusterRecordKinds(),
    dhtClient: true,
  });
  return memberOf(host, options);
}

/** Listens, and answers as a member, until the stack is disposed of. */
export async function startMember(
  stack: AsyncDisposableStack,
  {
    host,
    membership,
    puncher,
  }: Pick<Member, "host" | "membership" | "puncher">,
): Promise<void> {
  membership.start();
  stack.defer(() => membership.stop());
  puncher.start();
  stack.defer(() => puncher.stop());
  await host.start();
  stack.defer(() => host.stop());
}
