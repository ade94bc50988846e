/** Memberships and rendezvous in this process, on loopback, stopped with the test. */
import type { TestContext } from "node:test";
import {
  Membership,
  type OwnState,
  RendezvousService,
} from "../../src/cluster/index.ts";
import type { MembershipOptions } from "../../src/cluster/membership-options.ts";
import { Events } from "../../src/lib/index.ts";
import {
  Commands,
  type Host,
  type HostOptions,
} from "../../src/network/index.ts";
import { ownStateOf } from "./announcements.ts";
import { makeHost, targetOf, within } from "./network.ts";

/** The machine may be busy. */
export const WAIT_MS = 60_000;

export interface Peer {
  host: Host;
  commands: Commands;
}

export async function startRendezvous(
  t: TestContext,
  options: HostOptions = {},
): Promise<Peer & { service: RendezvousService }> {
  const host = await makeHost(t, options);
  const commands = new Commands(host);
  const service = new RendezvousService({
    host,
    commands,
    events: new Events(),
  });
  service.start();
  t.after(() => service.stop());
  await host.start();
  return { host, commands, service };
}

export async function startMember(
  t: TestContext,
  options: Partial<MembershipOptions> = {},
  at: HostOptions = {},
): Promise<Peer & { membership: Membership }> {
  const host = await makeHost(t, at);
  const commands = new Commands(host);
  const membership = new Membership({
    host,
    commands,
    events: new Events(),
    cluster: "friends",
    ...options,
  });
  membership.start();
  t.after(() => membership.stop());
  await host.start();
  return { host, commands, membership };
}

export async function joined(
  t: TestContext,
  through: Peer,
  options: Partial<MembershipOptions> = {},
  at: HostOptions = {},
): Promise<Peer & { membership: Membership }> {
  const member = await startMember(t, options, at);
  await member.host.connect(targetOf(through.host, "TCP"));
  await member.membership.join(through.host.peerId);
  return member;
}

export function shard(
  index: number,
  changes: Partial<OwnState> = {},
  count = 2,
): () => OwnState {
  return () =>
    ownStateOf(
      {
        layerStart: 2 * index,
        layerEnd: 2 * index + 2,
        shard: { index, count },
        ...changes,
      },
      count,
    );
}

/** Waits until what a member sees satisfies `is`. */
export async function sees(
  { membership }: { membership: Membership },
  is: (membership: Membership) => boolean,
  what: string,
): Promise<void> {
  await within(
    new Promise<void>((resolve) => {
      const end = membership.onChange(() => {
        if (!is(membership)) return;
        queueMicrotask(() => end());
        resolve();
      });
    }),
    what,
    WAIT_MS,
  );
}
export const holders =
  (...expected: string[]) =>
  (membership: Membership): boolean =>
    membership
      .announcements()
      .map((a) => `${a.shard.index} ${a.state}`)
      .sort()
      .join() === expected.join();
