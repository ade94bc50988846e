/** Renewals: what a liar can do with them, and what their loss, their order and a restart do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  announcementOf,
  ownStateOf,
} from "../../test/support/announcements.ts";
import { HandClock } from "../../test/support/clock.ts";
import { createHost, SeenAs } from "../network/index.ts";
import {
  type Announcement,
  ANNOUNCEMENT,
  type Passed,
  seal,
} from "./announcement.ts";
import { Gossip } from "./gossip.ts";
import { lowOf } from "./gossip-lists.ts";
import { emptyMessage, type Renewal } from "./gossip-message.ts";
import { encodeGossip, recordSizes } from "./gossip-wire.ts";
import { KnownCluster } from "./known-cluster.ts";
import { OwnShards, type OwnState } from "./own-shards.ts";
import { ClusterRecords, holderId, type HolderRecord } from "./records.ts";
import { Refusals } from "./refusals.ts";
import { proves, RENEWAL, RenewalChain } from "./renewal.ts";

const NOW = 1_800_000_000_000;
const ALICE = { peer: "alice", layerStart: 0, layerEnd: 2 };
const ID = holderId(ALICE);
const chain = new RenewalChain(ID);
const others = new RenewalChain(holderId({ ...ALICE, peer: "mallory" }));

const proofs: [name: string, from: number, to: number, proves: boolean][] = [
  ["the next", 0, 1, true],
  ["one after three that were lost", 2, 6, true],
  ["the last", 0, RENEWAL.steps, true],
  ["the same again", 3, 3, false],
  ["an older one, late", 5, 4, false],
];
for (const [name, from, to, isProof] of proofs)
  test(`a renewal: ${name} ${isProof ? "counts" : "does not count"}`, () => {
    assert.equal(proves(ID, chain.at(from)!, chain.at(to)!), isProof);
  });

test("a value proves nothing of another step, another holder, another chain, or beyond the last step", () => {
  const { value } = chain.at(5)!;
  assert.equal(proves(ID, chain.at(0)!, { step: 6, value }), false);
  assert.equal(proves(ID, chain.at(0)!, { step: 4, value }), false);
  assert.equal(proves(ID, others.at(0)!, others.at(1)!), false);
  assert.equal(proves(ID, chain.at(0)!, others.at(1)!), false);
  const longer = new RenewalChain(ID, undefined, RENEWAL.steps + 1);
  const beyond = longer.at(RENEWAL.steps + 1)!;
  assert.equal(proves(ID, longer.at(0)!, beyond), false);
  assert.equal(chain.at(RENEWAL.steps + 1), undefined);
});

function record(changes: Partial<Announcement> = {}): HolderRecord {
  const announcement = announcementOf({
    ...ALICE,
    renewal: chain.anchor,
    seq: NOW,
    ...changes,
  });
  return { announcement, sealed: { record: "", signature: "" }, bornMs: NOW };
}

function renewal(step: number, changes: Partial<Renewal> = {}): Renewal {
  const { value } = chain.at(step)!;
  const bornMs = NOW + step * ANNOUNCEMENT.renewMs;
  return { id: ID, low: lowOf(NOW), step, value, bornMs, ...changes };
}

/** A member that knows Alice's record, and its neighbours. */
function member(known: readonly HolderRecord[] = [record()]): {
  records: ClusterRecords;
  refusals: Refusals;
  gossip: Gossip;
  /** Hears these from Bob; returns what the others hear of it. */
  hears: (renewals: Renewal[], nowMs: number) => Renewal[];
} {
  const records = new ClusterRecords();
  const refusals = new Refusals();
  for (const one of known) records.put(one);
  const gossip = new Gossip({
    self: "self",
    records,
    refusals,
    own: () => [],
    isWitness: () => false,
    mayAccuse: () => true,
    random: () => 0.99, // the last neighbour first
  });
  for (const peer of ["bob", "carol", "dave"]) gossip.connected(peer, NOW);
  gossip.tick(NOW);
  gossip.drain();
  const hears = (renewals: Renewal[], nowMs: number): Renewal[] => {
    gossip.receive("bob", { ...emptyMessage(), renewals }, nowMs);
    gossip.tick(nowMs + 1_000);
    return gossip.drain().flatMap(({ message }) => message.renewals);
  };
  return { records, refusals, gossip, hears };
}

test("a renewed record lives on from when it was renewed, and two others hear of it once", () => {
  const { records, hears } = member();
  const { renewMs, ttlMs } = ANNOUNCEMENT;
  assert.equal(hears([renewal(2)], NOW + 2 * renewMs).length, 2);
  assert.equal(records.list(NOW + 2 * renewMs + ttlMs - 1).length, 1);
  assert.equal(records.list(NOW + 2 * renewMs + ttlMs).length, 0);
  // Replayed, late, and once more: no news, and no lie.
  for (const step of [2, 1, 2])
    assert.deepEqual(hears([renewal(step)], NOW + 3 * renewMs), []);
  assert.equal(records.list(NOW + 2 * renewMs + ttlMs).length, 0);
});

const lies: [name: string, lie: Partial<Renewal>, refused: boolean][] = [
  ["with another's value", { value: others.at(3)!.value }, true],
  ["with the value of an earlier step", { value: chain.at(2)!.value }, true],
  ["of a record that is not known", { low: lowOf(NOW + 1) }, false],
  [
    "of a holder that is not known",
    { id: holderId({ ...ALICE, peer: "x" }) },
    false,
  ],
  ["that is older than a record lives", { bornMs: NOW - 60_000 }, false],
];
for (const [name, lie, isRefused] of lies)
  test(`a renewal ${name} renews nothing${isRefused ? ", is counted, and the rest of its message is not looked at" : ""}`, () => {
    const { records, refusals, hears } = member();
    const now = NOW + 3 * ANNOUNCEMENT.renewMs;
    assert.equal(
      hears([renewal(3, lie), renewal(1)], NOW + 1).length,
      isRefused ? 0 : 2,
    );
    assert.deepEqual(refusals.toObject(), isRefused ? { renewal: 1 } : {});
    const [left] = records.list(now - 1);
    assert.equal(left?.renewed?.step, isRefused ? undefined : 1);
  });

test("a dead peer stays dead: renewals of before do not bring it back, nor does its record, for hours", () => {
  const { records, gossip, hears } = member();
  hears([renewal(3)], NOW + 1);
  gossip.connected("alice", NOW);
  assert.equal(gossip.disconnected("alice", NOW + 2), true);
  assert.deepEqual(hears([renewal(4)], NOW + 3), [], "its record is gone");
  const renewedTo = (step: number): HolderRecord => ({
    ...record(),
    renewed: chain.at(step)!,
    bornMs: NOW + 3_600_000,
  });
  records.expire(NOW + 3_600_000); // its grave is gone, too
  for (const step of [1, 2, 3])
    assert.equal(records.put(renewedTo(step)), "stale");
  // Only the living peer could tell this one.
  assert.equal(records.put(renewedTo(4)), "new");
});

test("a record comes with its renewals from others; with another's it is refused", async () => {
  const alice = await createHost();
  const peer = alice.peerId;
  const hers = new RenewalChain(holderId({ ...ALICE, peer }));
  const known = new KnownCluster({
    name: "friends",
    ownPeer: "self",
    clock: new HandClock(),
    wallMs: () => 0,
  });
  const sealed = await seal(
    announcementOf({ ...ALICE, peer, renewal: hers.anchor, seq: NOW }),
    (data) => alice.sign(data),
  );
  const passed = (renewed: Passed["renewed"]): Passed => ({
    ...sealed,
    ageMs: 0,
    renewed,
  });
  const forged = { step: 2, value: hers.at(1)!.value };
  await assert.rejects(known.takePassed(passed(forged)), {
    code: "ANNOUNCEMENT_INVALID",
    details: { reason: "renewal" },
  });
  assert.deepEqual(known.refusals.toObject(), { renewal: 1 });
  const { outcome } = await known.takePassed(passed(hers.at(2)));
  assert.equal(outcome, "new");
  const again = await known.takePassed(passed(undefined));
  assert.equal(again.outcome, "stale");
});

/** Its shard, and time. */
function node(): {
  own: OwnShards;
  state: OwnState;
  capacity: { memoryBytes: number; freeMemoryBytes: number; threads: number };
  clock: HandClock;
  set: (byMs: number) => void;
} {
  const clock = new HandClock();
  const state = ownStateOf({ layerStart: 2, layerEnd: 4 });
  const capacity = { memoryBytes: 1_000, freeMemoryBytes: 500, threads: 1 };
  let aheadMs = NOW;
  const own = new OwnShards({
    host: {
      peerId: "self",
      addresses: () => [],
      seenAs: new SeenAs(),
      connections: () => [],
      sign: () => Promise.resolve(new Uint8Array(64)),
    },
    cluster: "friends",
    clock,
    wallMs: () => clock.now() + aheadMs,
    capacity: () => ({ ...capacity }),
  });
  own.hold(() => ({ ...state, sessions: { ...state.sessions } }));
  const set = (byMs: number): void => {
    aheadMs += byMs;
  };
  return { own, state, capacity, clock, set };
}

const happenings: [
  name: string,
  isTold: boolean,
  happens: (it: ReturnType<typeof node>) => void,
][] = [
  ["nothing changes", false, () => {}],
  [
    "one of four sessions begins",
    false,
    (it) => (it.state.sessions.active = 1),
  ],
  ["two of four sessions begin", true, (it) => (it.state.sessions.active = 2)],
  [
    "a little memory is taken",
    false,
    (it) => (it.capacity.freeMemoryBytes = 450),
  ],
  ["much memory is taken", true, (it) => (it.capacity.freeMemoryBytes = 300)],
  ["its state changes", true, (it) => (it.state.state = "draining")],
  ["a token takes longer", true, (it) => (it.state.msPerToken = 50)],
  ["its clock is set", true, (it) => it.set(-3_600_000)],
];
for (const [name, isTold, happens] of happenings)
  test(`if ${name}, a record is ${isTold ? "sealed anew" : "renewed"}`, async () => {
    const it = node();
    const [first] = await it.own.again();
    assert.equal(first?.isRenewal, false);
    await it.clock.pass(ANNOUNCEMENT.renewMs);
    happens(it);
    const [next] = await it.own.again();
    assert.equal(next?.isRenewal, !isTold);
    assert.equal(next?.record.renewed?.step, isTold ? undefined : 1);
    assert.equal(
      next?.record.previous?.seq,
      isTold ? first?.record.announcement.seq : undefined,
    );
  });

test("a record is renewed 180 times, and the next one is numbered above all of these even if the clock was set back", async () => {
  const { own, clock, set } = node();
  await own.again();
  let steps = 0;
  for (;;) {
    await clock.pass(1);
    if (steps === RENEWAL.steps) set(-1_000);
    const [{ record: now, isRenewal }] = (await own.again()) as [
      { record: HolderRecord; isRenewal: boolean },
    ];
    if (isRenewal) {
      steps++;
      continue;
    }
    assert.equal(steps, RENEWAL.steps);
    const { seq } = now.previous!;
    assert.ok(now.announcement.seq > seq + RENEWAL.steps);
    return;
  }
});

test("a record travels in half of its bytes, and the next one in less than two thirds of these; a renewal in 30", async (t) => {
  const alice = await createHost();
  const addresses = ["udp/51820/quic-v1", "tcp/51820"].map(
    (at) => `/ip4/198.51.100.7/${at}/p2p/${alice.peerId}`,
  );
  const of = (changes: Partial<Announcement>): Announcement =>
    announcementOf({
      peer: alice.peerId,
      addresses,
      renewal: chain.anchor,
      capacity: { memoryBytes: 2 ** 33, freeMemoryBytes: 2 ** 32, threads: 8 },
      ...changes,
    });
  const sign = (data: Uint8Array): Promise<Uint8Array> => alice.sign(data);
  const first = await seal(of({ state: "loading" }), sign);
  const next = await seal(of({ seq: 7, renewal: others.anchor }), sign);
  const { whole, change } = recordSizes(next, first);
  t.diagnostic(`${next.record.length}, ${whole}, ${change} bytes`);
  assert.ok(whole < next.record.length / 2, `${whole} bytes`);
  assert.ok(change < (2 * whole) / 3, `${change} of ${whole} bytes`);
  const empty = encodeGossip(emptyMessage(), undefined, NOW).length;
  const message = { ...emptyMessage(), renewals: [renewal(1), renewal(2)] };
  const two = encodeGossip(message, undefined, NOW).length;
  assert.equal(two - empty, 5 + 2 * 30);
});
