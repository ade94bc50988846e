/** What a role is made of before it does anything of its own: a host with an identity, its commands, and its place in a cluster. */
import { join } from "node:path";
import {
  clusterRecordKinds,
  Membership,
  type MembershipOptions,
} from "../cluster/index.ts";
import { type EventSink, type Paths, VERSION } from "../lib/index.ts";
import {
  Commands,
  createHost,
  type Host,
  type HostMetrics,
  refuseTakenPorts,
} from "../network/index.ts";

export interface RoleHostOptions {
  /** Names the role's files in the state folder. */
  name: "rendezvous" | "node" | "seeder" | "gateway";
  listen: readonly string[];
  paths: Paths;
  events: EventSink;
  metrics?: HostMetrics | undefined;
}

/** A host whose identity and database outlive the process. Throws PORT_IN_USE, before models are read or hashed. */
export async function createRoleHost({
  name,
  paths,
  ...options
}: RoleHostOptions): Promise<Host> {
  await refuseTakenPorts(options.listen);
  return await createHost({
    ...options,
    keyPath: join(paths.state, `${name}.key`),
    datastorePath: join(paths.state, `${name}-datastore`),
    recordKinds: clusterRecordKinds(),
    version: VERSION,
  });
}

export interface Member {
  host: Host;
  commands: Commands;
  membership: Membership;
}

type OfCluster = Omit<MembershipOptions, "host" | "commands">;

export function memberOf(host: Host, options: OfCluster): Member {
  const commands = new Commands(host);
  const membership = new Membership({ host, commands, ...options });
  return { host, commands, membership };
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
  { host, membership }: Pick<Member, "host" | "membership">,
): Promise<void> {
  membership.start();
  stack.defer(() => membership.stop());
  await host.start();
  stack.defer(() => host.stop());
}
