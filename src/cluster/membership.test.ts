/** Members and rendezvous over real sockets: who learns what, and who is refused with which code. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShoalError, systemClock } from "../lib/index.ts";
import { Commands, type Host } from "../network/index.ts";
import { HandClock } from "../../test/support/clock.ts";
import {
  holders,
  joined,
  sees,
  shard,
  startMember,
  startRendezvous,
} from "../../test/support/memberships.ts";
import {
  makeHost,
  startHost,
  targetOf,
  within,
} from "../../test/support/network.ts";
import type { NodeStatus } from "../status/index.ts";
import type { Passed } from "./announcement.ts";
import { askPage } from "./cluster-pages.ts";
import { sealClusterRecord } from "./cluster-record.ts";
import type { Membership } from "./membership.ts";
import type { MembershipOptions } from "./membership-options.ts";
import { serveNodeCommands } from "./node-commands.ts";
import type { OwnState } from "./own-shards.ts";
import {
  GET_CAPABILITIES,
  GET_NODE_STATUS,
  LOAD_SHARD,
  SWARM_STATUS,
  ANNOUNCE,
  GET_CLUSTER,
} from "./protocol.ts";
import { TIMES_WATCH } from "./times-watch.ts";
import { encode } from "@ipld/dag-cbor";
import { z } from "zod";

test("a node with several shards gives each back separately, and says goodbye for all", async (t) => {
  const rendezvous = await startRendezvous(t);
  const node = await joined(t, rendezvous, {
    capacity: () => ({ memoryBytes: 8, freeMemoryBytes: 4, threads: 2 }),
  });
  const gateway = await joined(t, rendezvous);
  await node.membership.hold(shard(0));
  await node.membership.hold(
    shard(1, {
      state: "downloading",
      takenOver: true,
      progress: { doneBytes: 1, sizeBytes: 2 },
    }),
  );
  await sees(gateway, holders("0 ready", "1 downloading"), "both shards");
  const [first, second] = gateway.membership
    .announcements()
    .sort((a, b) => a.layerStart - b.layerStart);
  assert.deepEqual(first?.capacity?.threads, 2);
  assert.ok(first?.links?.includes(rendezvous.host.peerId.slice(-8)));
  assert.equal(first?.roundTrips?.length, first?.links?.length);
  assert.deepEqual(
    [second?.takenOver, second?.progress],
    [true, { doneBytes: 1, sizeBytes: 2 }],
  );
  await node.membership.hold(shard(1));
  await sees(gateway, (m) => m.view()?.ready === true, "readiness");
  await node.membership.release({ layerStart: 2, layerEnd: 4 });
  await sees(gateway, holders("0 ready"), "one shard left");
  assert.deepEqual(gateway.membership.view()?.missing, [1]);
  await node.membership.hold(shard(1));
  await node.membership.leave();
  await sees(gateway, holders(), "nobody left");
});

test("a member leaves although nobody confirms its goodbye", async (t) => {
  const rendezvous = await startRendezvous(t);
  const node = await joined(t, rendezvous);
  await node.membership.hold(shard(0));
  const never = new Promise<never>(() => {});
  t.mock.method(node.commands, "call", () => never);
  await within(node.membership.leave(), "its end");
});

test("a node that knows one member joins through it", async (t) => {
  const first = await startMember(t);
  await first.membership.hold(shard(0));
  const second = await joined(t, first);
  assert.ok(holders("0 ready")(second.membership));
  await second.membership.hold(shard(1));
  await sees(first, (m) => m.view()?.ready === true, "the newcomer's shard");
});

test("a node measures its links to holders each round, and announces a changed time before the next renewal", async (t) => {
  const hand = new HandClock();
  const first = await startMember(t);
  await first.membership.hold(shard(0));
  const second = await joined(t, first, {
    clock: {
      now: () => systemClock.now(),
      after: (ms, fn) => hand.after(ms, fn),
    },
  });
  let msPerToken: number | undefined;
  await second.membership.hold(() => shard(1, { msPerToken })());
  await sees(first, (m) => m.view()?.ready === true, "both shards");
  const ping = t.mock.method(second.host, "ping");
  msPerToken = 5;
  await hand.pass(TIMES_WATCH.roundMs);
  assert.deepEqual(
    ping.mock.calls.map((call) => call.arguments[0]),
    [first.host.peerId],
  );
  const tells = (m: Membership): boolean =>
    m.announcements().some((a) => a.msPerToken === 5);
  await sees(first, tells, "the time of a token");
});

test("two clusters at one rendezvous do not see each other", async (t) => {
  const rendezvous = await startRendezvous(t);
  const ours = await joined(t, rendezvous);
  const theirs = await joined(t, rendezvous, { cluster: "others" });
  await ours.membership.hold(shard(0));
  await theirs.membership.hold(shard(1));
  const witness = await joined(t, rendezvous);
  assert.ok(holders("0 ready")(witness.membership));
  assert.ok(holders("1 ready")(theirs.membership));
  const asked = theirs.commands.call(
    targetOf(ours.host, "TCP"),
    SWARM_STATUS.name,
    { cluster: "others" },
    SWARM_STATUS.result,
  );
  await assert.rejects(asked, { code: "CLUSTER_UNKNOWN" });
});

const newcomers: [
  name: string,
  options: Partial<MembershipOptions>,
  says: () => OwnState,
  code: string,
  reason: string,
][] = [
  [
    "of another model",
    {},
    shard(0, { manifest: "other" }),
    "CLUSTER_MODEL_MISMATCH",
    "mismatch",
  ],
  ["of another plan", {}, shard(0, {}, 4), "CLUSTER_PLAN_MISMATCH", "mismatch"],
  [
    "that computes in another mode",
    {},
    shard(0, { kv: "bf16" }),
    "CLUSTER_MODE_MISMATCH",
    "mismatch",
  ],
];
for (const [name, options, says, code, reason] of newcomers) {
  test(`a newcomer ${name} gets ${code}`, async (t) => {
    const rendezvous = await startRendezvous(t);
    const publisher = await joined(t, rendezvous);
    await publisher.membership.publish(
      await sealClusterRecord(
        {
          v: 1,
          cluster: "friends",
          key: publisher.host.peerId,
          manifest: "m",
          model: "demo",
          shards: 2,
          replication: 2,
          origin: [],
          seq: 1,
          issuedMs: systemClock.now(),
        },
        (data) => publisher.host.sign(data),
      ),
    );
    const newcomer = await joined(t, rendezvous, options);
    await assert.rejects(newcomer.membership.hold(says), { code });
    const [cluster] = rendezvous.service.status();
    assert.deepEqual(cluster?.members, []);
    assert.deepEqual(cluster?.refused, { [reason]: 1 });
  });
}

test("a record of an older protocol, of another cluster, or of another peer is refused and counted", async (t) => {
  const rendezvous = await startRendezvous(t);
  const stranger = await startHost(t);
  const commands = new Commands(stranger);
  const other = await startMember(t);
  const target = targetOf(rendezvous.host, "TCP");
  const announce = (sealed: unknown): Promise<unknown> =>
    commands.call(
      target,
      ANNOUNCE.name,
      { cluster: "friends", sealed },
      ANNOUNCE.result,
    );
  const bytes = encode({ v: 0, cluster: "friends" });
  const old = {
    record: Buffer.from(bytes).toString("base64"),
    signature: Buffer.from(await stranger.sign(bytes)).toString("base64"),
  };
  await assert.rejects(announce(old), { code: "PROTOCOL_VERSION" });
  await other.membership.hold(shard(0));
  const records = await recordsOf(commands, other.host, "friends");
  await assert.rejects(announce(records[0]), { code: "COMMAND_UNAUTHORIZED" });
  const elsewhere = await startMember(t, { cluster: "others" });
  await elsewhere.membership.hold(shard(0));
  const foreign = await recordsOf(commands, elsewhere.host, "others");
  await assert.rejects(announce(foreign[0]), {
    code: "ANNOUNCEMENT_INVALID",
  });
  assert.deepEqual(rendezvous.service.status()[0]?.refused, {
    version: 1,
    impostor: 1,
    foreign: 1,
  });
});

async function recordsOf(
  commands: Commands,
  of: Host,
  cluster: string,
): Promise<Passed[]> {
  const asked = { cluster, subscribe: false, offset: 0 };
  return (await askPage(commands, targetOf(of, "TCP"), asked)).records;
}

test("who asks for members with the older protocol is refused by name, and so is who answers with it", async (t) => {
  const member = await startMember(t);
  const old = await startHost(t);
  const commands = new Commands(old);
  const target = targetOf(member.host, "TCP");
  const asked = { cluster: "friends", subscribe: false, offset: 0 };
  const { name, result } = GET_CLUSTER;
  await assert.rejects(commands.call(target, name, asked, result), {
    code: "PROTOCOL_VERSION",
  });
  const before = await makeHost(t);
  new Commands(before).handle(name, z.object({}), () => ({
    records: [],
    total: 0,
    nowMs: 0,
    record: null,
  }));
  await before.start();
  await assert.rejects(askPage(commands, targetOf(before, "TCP"), asked), {
    code: "PROTOCOL_VERSION",
  });
});

test("a shard is accepted only from a member, and a refusal is an answer", async (t) => {
  const asked: unknown[] = [];
  const node = await startMember(t, {
    onLoadShard: (request) => {
      asked.push(request.shard.index);
      return request.shard.index === 0
        ? Promise.resolve()
        : Promise.reject(new ShoalError("DISK_FULL", "no room for it"));
    },
  });
  const member = await joined(t, node);
  const params = (index: number): object => ({
    cluster: "friends",
    manifest: "m",
    shard: { index, count: 2 },
    layerStart: 0,
    layerEnd: 2,
  });
  const ask = (index: number): Promise<unknown> =>
    member.commands.call(
      node.host.peerId,
      LOAD_SHARD.name,
      params(index),
      LOAD_SHARD.result,
    );
  await assert.rejects(ask(0), { code: "COMMAND_UNAUTHORIZED" });
  await member.membership.hold(shard(1));
  assert.deepEqual(await ask(0), { accepted: true, code: null, reason: null });
  assert.deepEqual(await ask(1), {
    accepted: false,
    code: "DISK_FULL",
    reason: "no room for it",
  });
  assert.deepEqual(asked, [0, 1]);
});

test("a process reports what it is and its state; endless requests are slowed down", async (t) => {
  const node = await startMember(t);
  const status: NodeStatus = {
    v: 1,
    role: "node",
    version: "0",
    peer: node.host.peerId,
    addresses: [],
    startedMs: 0,
    nowMs: 0,
    ready: false,
    reason: "it is a test",
    process: { memoryBytes: 0, cpuSeconds: 0, threads: null },
    api: null,
    shards: [],
    givenUp: [],
    connections: [],
    clusters: [node.membership.status()],
    plan: null,
    torrents: null,
    sessions: null,
    dht: { peers: 0, records: null, provided: 0, selfTest: null, lookups: [] },
  };
  serveNodeCommands({
    commands: node.commands,
    role: "node",
    version: "0",
    status: () => status,
  });
  const asker = await startMember(t);
  const target = targetOf(node.host, "TCP");
  const capabilities = await asker.commands.call(
    target,
    GET_CAPABILITIES.name,
    {},
    GET_CAPABILITIES.result,
  );
  assert.equal(capabilities.protocol, 2);
  assert.ok(capabilities.commands.includes("SWARM_STATUS"));
  const ask = (): Promise<NodeStatus> =>
    asker.commands.call(
      target,
      GET_NODE_STATUS.name,
      {},
      GET_NODE_STATUS.result,
    );
  assert.deepEqual(await ask(), status);
  const many = await Promise.allSettled(Array.from({ length: 100 }, ask));
  const codes = many.map((r) =>
    r.status === "rejected" ? ShoalError.from(r.reason).code : "ok",
  );
  assert.ok(codes.includes("ok"));
  assert.ok(codes.includes("RATE_LIMITED"));
});
