/** Gossip over real sockets, with members that die, stop and come back. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Events, systemClock } from "../lib/index.ts";
import { Bootstraps, createHost } from "../network/index.ts";
import { HandClock } from "../../test/support/clock.ts";
import { Lateness } from "../../test/support/lateness.ts";
import {
  holders,
  joined,
  type Peer,
  sees,
  shard,
  startMember,
  startRendezvous,
  WAIT_MS,
} from "../../test/support/memberships.ts";
import { spawnProgram, within } from "../../test/support/network.ts";
import { freePort, swallowUdp } from "../../test/support/wires.ts";
import { ANNOUNCEMENT, seal, unseal } from "./announcement.ts";
import { emptyMessage } from "./gossip-message.ts";
import { GossipStreams } from "./gossip-streams.ts";
import { encodeGossip } from "./gossip-wire.ts";
import type { Membership } from "./membership.ts";

type Member = Peer & { membership: Membership };

/** Waits until every member is connected to every other. */
async function meshed(members: readonly Member[]): Promise<void> {
  for (const { host, membership } of members) {
    for (const other of members) {
      if (other.host.peerId === host.peerId) continue;
      const isConnected = (): boolean =>
        host.connections().some(({ peer }) => peer === other.host.peerId);
      await within(
        new Promise<void>((resolve) => {
          const end = host.onPeer(() => {
            if (!isConnected()) return;
            end();
            resolve();
          });
          if (!isConnected()) return;
          end();
          resolve();
        }),
        "a connection between members",
        WAIT_MS,
      );
    }
    assert.ok(membership.announcements().length > 0);
  }
}

async function swarm(
  t: TestContext,
  rendezvous: Peer,
  count: number,
  of: number,
): Promise<Member[]> {
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const member = await joined(t, rendezvous);
    await member.membership.hold(shard(i, {}, of));
    members.push(member);
  }
  return members;
}

interface Process {
  child: ChildProcess;
  peer: string;
}

async function memberProcess(
  t: TestContext,
  rendezvous: Peer,
  index: number,
  count: number,
): Promise<Process> {
  const args = [
    JSON.stringify(rendezvous.host.addresses()),
    "friends",
    String(index),
    String(count),
  ];
  const { child, told } = await spawnProgram(t, "member-process.ts", args);
  return { child, peer: (told as { peer: string }).peer };
}

test("the rendezvous dies: members keep telling each other, and a node that knows one of them joins", async (t) => {
  const rendezvous = await startRendezvous(t);
  const members = await swarm(t, rendezvous, 3, 4);
  const [first, second, third] = members as [Member, Member, Member];
  await meshed(members);
  await rendezvous.host.stop();
  await second.membership.hold(shard(1, { state: "draining" }, 4));
  await sees(first, holders("0 ready", "1 draining", "2 ready"), "the change");
  await second.membership.hold(shard(1, {}, 4));
  const newcomer = await joined(t, third);
  await newcomer.membership.hold(shard(3, {}, 4));
  for (const member of [...members, newcomer])
    await sees(member, (m) => m.view()?.ready === true, "readiness");
  await newcomer.membership.leave();
  for (const member of members)
    await sees(member, (m) => m.view()?.missing.join() === "3", "the goodbye");
});

test("a renewal of a few bytes, which nobody signs, keeps a shard known", async (t) => {
  const hand = new HandClock();
  let aheadMs = 0;
  const observer = await startMember(t, {
    clock: {
      now: () => systemClock.now() + aheadMs,
      after: (ms, fn) => systemClock.after(ms, fn),
    },
  });
  const node = await joined(t, observer, {
    clock: {
      now: () => systemClock.now(),
      after: (ms, fn) => hand.after(ms, fn),
    },
  });
  await node.membership.hold(shard(0));
  await sees(observer, holders("0 ready"), "the shard");
  const signed = t.mock.method(node.host, "sign");
  aheadMs = ANNOUNCEMENT.ttlMs - 20_000;
  const isKnownLater = (m: Membership): boolean => {
    aheadMs += 30_000;
    const isKnown = holders("0 ready")(m);
    aheadMs -= 30_000;
    return isKnown;
  };
  assert.equal(isKnownLater(observer.membership), false);
  const renewed = sees(observer, isKnownLater, "the renewal");
  await hand.pass(ANNOUNCEMENT.renewMs);
  await renewed;
  assert.equal(signed.mock.callCount(), 0);
});

test("two living members lose their connection: both stay", async (t) => {
  const rendezvous = await startRendezvous(t);
  const members = await swarm(t, rendezvous, 3, 3);
  const [first, second] = members as [Member, Member, Member];
  await meshed(members);
  await first.host.disconnect(second.host.peerId);
  for (const member of members)
    await sees(member, (m) => m.view()?.ready === true, "everybody");
  await meshed(members);
});

test("the only connection is lost, and there is no rendezvous: members find each other again", async (t) => {
  const rendezvous = await startRendezvous(t);
  const members = await swarm(t, rendezvous, 2, 2);
  const [first, second] = members as [Member, Member];
  await meshed(members);
  await rendezvous.host.stop();
  const lost = members.map((member) =>
    sees(member, (m) => m.view()?.ready === false, "the loss"),
  );
  await first.host.disconnect(second.host.peerId);
  await Promise.all(lost);
  for (const member of members)
    await sees(member, (m) => m.view()?.ready === true, "everybody");
});

test("a killed process is gone from every view within 5 s, and readiness with it", async (t) => {
  const rendezvous = await startRendezvous(t);
  const members = await swarm(t, rendezvous, 3, 4);
  const { child, peer } = await memberProcess(t, rendezvous, 3, 4);
  for (const member of members)
    await sees(member, (m) => m.view()?.ready === true, "readiness");
  using lateness = new Lateness();
  const killedMs = performance.now();
  child.kill("SIGKILL");
  await Promise.all(
    members.map(async (member) => {
      await sees(member, (m) => m.view()?.missing.join() === "3", "the loss");
      const tookMs = performance.now() - killedMs;
      t.diagnostic(`noticed after ${Math.round(tookMs)} ms`);
      assert.ok(tookMs - lateness.ms < 5_000, `noticed after ${tookMs} ms`);
    }),
  );
  const [status] = rendezvous.service.status();
  assert.ok(!status?.members.some((member) => member.peer === peer));
});

test("a stopped process is gone within 15 s, and back when it continues", async (t) => {
  const rendezvous = await startRendezvous(t);
  const members = await swarm(t, rendezvous, 2, 3);
  const { child } = await memberProcess(t, rendezvous, 2, 3);
  for (const member of members)
    await sees(member, (m) => m.view()?.ready === true, "readiness");
  using lateness = new Lateness();
  const stoppedMs = performance.now();
  child.kill("SIGSTOP");
  await Promise.all(
    members.map(async (member) => {
      await sees(member, (m) => m.view()?.missing.join() === "2", "the loss");
      const tookMs = performance.now() - stoppedMs;
      assert.ok(tookMs - lateness.ms < 15_000, `noticed after ${tookMs} ms`);
    }),
  );
  child.kill("SIGCONT");
  for (const member of members)
    await sees(member, (m) => m.view()?.ready === true, "the return");
});

test("a lost member's last record, heard late, does not bring it back", async (t) => {
  const rendezvous = await startRendezvous(t);
  const members = await swarm(t, rendezvous, 3, 3);
  const [first, second, third] = members as [Member, Member, Member];
  await meshed(members);
  await sees(first, (m) => m.view()?.ready === true, "readiness");
  // Its last record, which the first member never heard; nothing answers or refuses at its address.
  const silent = await freePort();
  await swallowUdp(t, silent);
  const [known] = third.membership.announcements();
  const issuedMs = Date.now();
  const late = await seal(
    {
      ...known!,
      addresses: [`/ip4/127.0.0.1/udp/${silent}/quic-v1`],
      seq: Math.max(known!.seq + 1, issuedMs),
      issuedMs,
    },
    (data) => third.host.sign(data),
  );
  await third.host.stop();
  await sees(first, (m) => m.view()?.missing.join() === "2", "the loss");
  let views = 0;
  const end = first.membership.onChange((view) => {
    if (view?.ready === true) views++;
  });
  const streams = new GossipStreams({
    host: second.host,
    cluster: "friends",
    onRefused: (_, error) => assert.fail(String(error)),
    onForeign: () => assert.fail("refused"),
    onBroken: () => {}, // it ends with its host
  });
  t.after(() => streams.stop());
  // Something else in the same message shows that it came.
  const stranger = await createHost();
  const beside = await seal(
    { ...known!, peer: stranger.peerId, layerStart: 0, layerEnd: 2 },
    (data) => stranger.sign(data),
  );
  const records = await Promise.all(
    [late, beside].map(async (sealed) => ({
      announcement: await unseal(sealed),
      sealed,
      bornMs: 0,
    })),
  );
  const message = { ...emptyMessage(), records };
  streams.send(first.host.peerId, encodeGossip(message, undefined, 0));
  await sees(
    first,
    (m) => m.announcements().some(({ peer }) => peer === stranger.peerId),
    "the message",
  );
  // The dial that looks for it takes 2 s, and the next exchange of everything 10.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  end();
  assert.equal(views, 0, "the first was never ready again");
});

test("a rendezvous that was away for long is found again within 15 s, but not by all at once", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "shoal-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const keyPath = join(folder, "rendezvous.key");
  const rendezvous = await startRendezvous(t, { keyPath });
  const listen = rendezvous.host
    .addresses()
    .map((address) => address.replace(/\/p2p\/.*/, ""));
  const events = new Events();
  const members: Member[] = [];
  for (let i = 0; i < 6; i++) {
    const member = await startMember(t);
    const bootstraps = new Bootstraps({
      host: member.host,
      targets: rendezvous.host.addresses(),
      events,
      // As after a minute: the wait has grown to its longest.
      retryInitialMs: 10_000,
      onConnected: ({ peer }) => {
        member.membership.join(peer).catch(() => {});
      },
    });
    t.after(() => bootstraps.stop());
    bootstraps.start();
    await bootstraps.firstConnection({ timeoutMs: WAIT_MS });
    await member.membership.hold(shard(i, {}, 6));
    members.push(member);
  }
  for (const member of members)
    await sees(member, (m) => m.view()?.ready === true, "readiness");
  await rendezvous.host.stop();
  for (const { membership } of members)
    assert.equal(membership.view()?.ready, true);
  const again = await startRendezvous(t, { keyPath, listen });
  using lateness = new Lateness();
  const startedMs = performance.now();
  const arrivedMs: number[] = [];
  await within(
    new Promise<void>((resolve) => {
      again.host.onPeer(({ type, peer }) => {
        if (type !== "connected") return;
        if (!members.some(({ host }) => host.peerId === peer)) return;
        arrivedMs.push(performance.now() - startedMs);
        if (arrivedMs.length === members.length) resolve();
      });
    }),
    "everybody's return",
    WAIT_MS,
  );
  const last = Math.max(...arrivedMs);
  assert.ok(last - lateness.ms < 15_000, `the last came after ${last} ms`);
  const spread = last - Math.min(...arrivedMs);
  assert.ok(spread > 200, `all came within ${spread} ms`);
  const newcomer = await joined(t, again);
  await sees(newcomer, (m) => m.view()?.ready === true, "everybody is known");
});
