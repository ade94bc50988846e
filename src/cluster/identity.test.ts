/** Two processes with one identity: the one that was started later stops, before it has announced anything. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ShoalError } from "../lib/index.ts";
import { announcementOf } from "../../test/support/announcements.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import {
  holders,
  joined,
  type Peer,
  sees,
  shard,
  startMember,
  startRendezvous,
} from "../../test/support/memberships.ts";
import {
  startHost,
  targetOf,
  Watched,
  within,
} from "../../test/support/network.ts";
import { Commands } from "../network/index.ts";
import type { Membership } from "./membership.ts";
import type { MembershipOptions } from "./membership-options.ts";
import { CHECK_IDENTITY, MEET_RIVAL } from "./protocol.ts";
import { isElder, type RunRecord, sealRun, unsealRun } from "./run-record.ts";

type Member = Peer & { membership: Membership };

interface Scene {
  rendezvous: Awaited<ReturnType<typeof startRendezvous>>;
  /** A member with the one key. */
  start: (options?: Partial<MembershipOptions>) => Promise<Member>;
  join: (member: Member) => Promise<number>;
}

async function scene(t: TestContext): Promise<Scene> {
  const keyPath = join(await temporaryFolder(t), "node.key");
  const rendezvous = await startRendezvous(t);
  return {
    rendezvous,
    start: (options) => startMember(t, options, { keyPath }),
    join: async ({ host, membership }) => {
      await host.connect(targetOf(rendezvous.host, "TCP"));
      return await membership.join(rendezvous.host.peerId);
    },
  };
}

const isTold = ({ fields }: { fields: { code?: unknown } }): boolean =>
  fields.code === "IDENTITY_IN_USE";

test("the one that starts second is refused; the first is told and goes on, and nobody sees what the second holds", async (t) => {
  const { rendezvous, start, join: joinAt } = await scene(t);
  const events = new Watched();
  const first = await start({ events });
  await joinAt(first);
  await first.membership.hold(shard(0));
  const gateway = await joined(t, rendezvous);
  await sees(gateway, holders("0 ready"), "its shard");
  const views: string[] = [];
  gateway.membership.onChange(() =>
    views.push(
      gateway.membership
        .announcements()
        .map((a) => `${a.shard.index} ${a.state}`)
        .join(),
    ),
  );
  const taken: ShoalError[] = [];
  const second = await start({ onIdentityTaken: (e) => taken.push(e) });
  await second.membership.hold(shard(1));
  await assert.rejects(joinAt(second), { code: "IDENTITY_IN_USE" });
  assert.equal(taken.length, 1);
  const [address = ""] = first.host.addresses();
  const port = address.split("/")[4]!;
  assert.ok(taken[0]?.message.includes(`127.0.0.1:${port}`), taken[0]?.message);
  const told = await events.when(isTold, "the first to be told");
  const [other = ""] = second.host.addresses();
  assert.ok(told.message.includes(`127.0.0.1:${other.split("/")[4]}`));
  const [cluster] = rendezvous.service.status();
  assert.deepEqual(
    cluster?.members[0]?.rivalAddresses,
    second.host.addresses(),
  );
  await second.membership.leave();
  await second.host.stop();
  // Whatever the second may have said would have come before this.
  await first.membership.hold(shard(0, { state: "draining" }));
  await sees(gateway, holders("0 draining"), "the first's own word");
  // While a second process ends its connections, the first one may be missed for a moment on a busy machine.
  const ofFirst = ["", "0 ready", "0 draining"];
  assert.deepEqual(
    views.filter((view) => !ofFirst.includes(view)),
    [],
  );
});

test("the elder comes second, as after a cut: the younger stops", async (t) => {
  const { start, join: joinAt } = await scene(t);
  const elder = await start({ wallMs: () => 1_000 });
  const taken = Promise.withResolvers<ShoalError>();
  const younger = await start({ onIdentityTaken: taken.resolve });
  await joinAt(younger);
  await younger.membership.hold(shard(0));
  await joinAt(elder);
  await elder.membership.hold(shard(0));
  const error = await within(taken.promise, "the younger to give way");
  assert.equal(error.code, "IDENTITY_IN_USE");
});

test("a process that is started again after it was killed is not taken for a second one", async (t) => {
  const { rendezvous, start, join: joinAt } = await scene(t);
  const first = await start();
  await joinAt(first);
  await first.membership.hold(shard(0));
  first.membership.stop();
  await first.host.stop();
  const second = await start();
  await joinAt(second);
  await second.membership.hold(shard(0));
  const gateway = await joined(t, rendezvous);
  await sees(gateway, holders("0 ready"), "its shard");
});

test("one process with two connections is one", async (t) => {
  const { rendezvous, start, join: joinAt } = await scene(t);
  const node = await start();
  await joinAt(node);
  await rendezvous.host.connect({
    addresses: targetOf(node.host, "QUIC").addresses,
  });
  const mine = rendezvous.host
    .connections()
    .filter(({ peer }) => peer === node.host.peerId);
  assert.equal(mine.length, 2);
  await node.membership.join(rendezvous.host.peerId);
});

test("a stranger's words stop nobody: they must be signed by the own key, and name this run", async (t) => {
  const node = await startMember(t, {
    onIdentityTaken: () => assert.fail("it was stopped by a stranger"),
  });
  const stranger = await startHost(t);
  const commands = new Commands(stranger);
  const { peer } = await stranger.connect(targetOf(node.host, "TCP"));
  const run = (changes: Partial<RunRecord>): RunRecord => ({
    v: 1,
    kind: "run",
    peer: node.host.peerId,
    run: "elder",
    startedMs: 0,
    addresses: [],
    ...changes,
  });
  const meet = async (
    record: RunRecord,
    by: Peer["host"],
  ): Promise<RunRecord> => {
    const rival = await sealRun(record, (data) => by.sign(data));
    const { name, result } = MEET_RIVAL;
    const { sealed } = await commands.call(peer, name, { rival }, result);
    return await unsealRun(sealed, peer);
  };
  const forged = { code: "ANNOUNCEMENT_INVALID" };
  await assert.rejects(meet(run({}), stranger), forged);
  await assert.rejects(meet(run({ peer: stranger.peerId }), stranger), forged);
  // An earlier run's own words, as a stranger may have kept them.
  const own = await meet(run({ rival: "another" }), node.host);
  assert.equal(own.rival, "elder");
  // Of another's identity nothing is told.
  const sealed = await sealRun(run({}), (data) => node.host.sign(data));
  const { name, result } = CHECK_IDENTITY;
  await assert.rejects(commands.call(peer, name, { sealed }, result), forged);
});

test("which of two is the elder, both say alike", () => {
  const record = (run: string, startedMs: number): RunRecord => ({
    ...announcementOf(),
    v: 1,
    kind: "run",
    run,
    startedMs,
  });
  assert.ok(isElder(record("b", 1), record("a", 2)));
  assert.ok(!isElder(record("a", 2), record("b", 1)));
  assert.ok(isElder(record("a", 1), record("b", 1)));
  assert.ok(!isElder(record("b", 1), record("a", 1)));
});
