/** Gossip as a state machine: what nodes make of each other's messages, and of liars' messages. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Announcement } from "./announcement.ts";
import type { NodeState } from "../status/index.ts";
import { Gossip } from "./gossip.ts";
import { GOSSIP } from "./gossip-defaults.ts";
import {
  emptyMessage,
  type GossipMessage,
  MESSAGE_LIMITS,
} from "./gossip-message.ts";
import { decodeGossip, encodeGossip, estimateBytes } from "./gossip-wire.ts";
import { MESH, neighboursToDial } from "./mesh.ts";
import { ClusterRecords, digestOf, type HolderRecord } from "./records.ts";
import { Refusals } from "./refusals.ts";

const NOW = 1_800_000_000_000;

function record(
  peer: string,
  seq: number = NOW,
  state: NodeState = "ready",
  layerStart = 0,
): HolderRecord {
  const announcement: Announcement = {
    v: 2,
    cluster: "c",
    peer,
    manifest: "m",
    model: "demo",
    layerCount: 1000,
    layerStart,
    layerEnd: layerStart + 1,
    shard: { index: layerStart, count: 1000 },
    state,
    contextLength: 512,
    batchTokens: 128,
    sessions: { active: 0, max: 4 },
    addresses: [],
    version: "0",
    seq,
    issuedMs: NOW,
    ttlMs: 60_000,
  };
  const sealed = { record: peer, signature: "" };
  return { announcement, sealed, bornMs: NOW };
}

interface Node {
  peer: string;
  records: ClusterRecords;
  refusals: Refusals;
  gossip: Gossip;
  own: HolderRecord[];
}

function node(peer: string, known: readonly HolderRecord[] = []): Node {
  const records = new ClusterRecords();
  const refusals = new Refusals();
  const own: HolderRecord[] = [record(peer)];
  for (const one of known) records.put(one);
  let drawn = 0;
  const gossip = new Gossip({
    self: peer,
    records,
    refusals,
    own: () => own,
    isWitness: () => own.length > 0,
    mayAccuse: (other) => records.of(other).length > 0,
    random: () => (drawn++ % 10) / 10,
  });
  return { peer, records, refusals, gossip, own };
}

function said(changes: Partial<GossipMessage>): GossipMessage {
  return {
    ...emptyMessage(),
    ...changes,
  };
}

/** Delivers everything, including the resulting messages, and returns how many whole records travelled. */
function deliver(nodes: readonly Node[], nowMs: number): number {
  let bodies = 0;
  for (let round = 0; round < 50; round++) {
    const mail = nodes.flatMap((from) =>
      from.gossip.drain().map((letter) => ({ ...letter, from: from.peer })),
    );
    if (mail.length === 0) return bodies;
    for (const { from, to, message } of mail) {
      const target = nodes.find(({ peer }) => peer === to);
      if (target === undefined) continue;
      for (const one of [...message.records, ...message.changes]) {
        if (one.announcement.peer === to) continue;
        bodies++;
        const outcome = target.records.put(one);
        target.gossip.learned(one, outcome, from, nowMs, true);
      }
      target.gossip.receive(from, message, nowMs);
    }
  }
  throw new Error("they never stop talking");
}

function connect(a: Node, b: Node): void {
  a.gossip.connected(b.peer, NOW);
  b.gossip.connected(a.peer, NOW);
}

/** a - b - c … in a row, each knowing only itself at first. */
function row(...peers: string[]): Node[] {
  const nodes = peers.map((peer) => node(peer));
  for (const [i, one] of nodes.entries()) {
    const next = nodes[i + 1];
    if (next !== undefined) connect(one, next);
  }
  return nodes;
}

const peersOf = ({ records }: Node): string =>
  records
    .list(NOW)
    .map((r) => r.announcement.peer)
    .sort()
    .join("");

test("neighbours tell each other everything; the rest comes with the digests of the next second", () => {
  const nodes = row("a", "b", "c", "d");
  deliver(nodes, NOW);
  for (let i = 1; i <= 5; i++) {
    for (const { gossip } of nodes) gossip.tick(NOW + i * GOSSIP.lazyMs);
    deliver(nodes, NOW + i * GOSSIP.lazyMs);
  }
  assert.deepEqual(nodes.map(peersOf), ["bcd", "acd", "abd", "abc"]);
});

test("a change reaches everybody at once, a goodbye too", () => {
  const nodes = row("a", "b", "c", "d");
  const [a, , , d] = nodes;
  deliver(nodes, NOW);
  a!.gossip.announced(record("a", NOW + 1, "ready", 7), true, NOW);
  deliver(nodes, NOW);
  assert.ok(d!.records.of("a").some((r) => r.announcement.layerStart === 7));
  a!.gossip.announced(record("a", NOW + 2, "gone", 7), true, NOW);
  deliver(nodes, NOW);
  assert.equal(
    d!.records.list(NOW).some((r) => r.announcement.layerStart === 7),
    false,
  );
});

test("what is not urgent travels whole to each node once, however many neighbours mention it", () => {
  const nodes = ["a", "b", "c", "d", "e"].map((peer) => node(peer));
  for (const x of nodes) for (const y of nodes) if (x !== y) connect(x, y);
  deliver(nodes, NOW);
  const [a] = nodes;
  const renewed = record("a", NOW + 20_000);
  a!.own[0] = renewed;
  a!.gossip.announced(renewed, false, NOW);
  let bodies = 0;
  for (let i = 1; i <= 3; i++) {
    const now = NOW + i * GOSSIP.lazyMs;
    for (const { gossip } of nodes) gossip.tick(now);
    bodies += deliver(nodes, now);
  }
  assert.equal(bodies, 4);
});

test("a lost connection: dropped at once by the member that lost it, by the others after the grace", () => {
  const dead = record("x");
  const [a, b] = [node("a", [dead]), node("b", [dead])];
  connect(a, b);
  a.gossip.connected("x", NOW);
  deliver([a, b], NOW);
  assert.equal(a.gossip.disconnected("x", NOW), true);
  deliver([a, b], NOW);
  assert.deepEqual([peersOf(a), peersOf(b)], ["b", "ax"]);
  assert.equal(b.gossip.tick(NOW + GOSSIP.graceMs - 1), false);
  assert.equal(b.gossip.tick(NOW + GOSSIP.graceMs), true);
  assert.equal(peersOf(b), "a");
  // A member that has not heard of it cannot bring it back.
  const late = node("late", [dead]);
  b.records.put(record("late"));
  connect(b, late);
  deliver([b, late], NOW + 1_500);
  assert.equal(peersOf(b), "alate");
  late.gossip.tick(NOW + 2_500);
  assert.equal(late.records.of("x").length, 0);
});

test("a living suspect refutes and stays, whoever accuses it and however often", () => {
  const liar = node("liar");
  const honest = node("honest");
  const other = node("other");
  connect(liar, other);
  connect(other, honest);
  const nodes = [liar, other, honest];
  deliver(nodes, NOW);
  let refutations = 0;
  for (let now = NOW + 100; now < NOW + 60_000; now += 250) {
    const seq = other.records.of("honest")[0]!.announcement.seq;
    other.gossip.receive(
      "liar",
      said({ suspects: [{ peer: "honest", seq }] }),
      now,
    );
    deliver(nodes, now);
    const above = honest.gossip.takeRefutation();
    if (above !== undefined) {
      refutations++;
      const newer = record("honest", Math.max(above, now) + 1);
      honest.own[0] = newer;
      honest.gossip.announced(newer, true, now);
      deliver(nodes, now);
    }
    other.gossip.tick(now);
    assert.equal(other.records.of("honest").length, 1);
  }
  assert.ok(refutations > 10);
  // More than a neighbour may send is not even passed on.
  assert.ok(refutations < 600);
});

const lies: [name: string, from: string, seq: number][] = [
  ["from a member that holds nothing", "stranger", NOW],
  ["with a number that nothing could refute", "member", NOW + 10 ** 9],
];
for (const [name, from, seq] of lies) {
  test(`a suspicion ${name} is refused and counted`, () => {
    const one = node("one", [record("victim"), record("member")]);
    one.gossip.connected(from, NOW);
    one.gossip.drain();
    const suspects = [{ peer: "victim", seq }];
    one.gossip.receive(from, said({ suspects }), NOW);
    one.gossip.tick(NOW + 10 * GOSSIP.graceMs);
    assert.equal(one.records.of("victim").length, 1);
    assert.deepEqual(one.refusals.toObject(), { suspicion: 1 });
  });
}

test("more accusations than allowed are ignored", () => {
  const victims = Array.from({ length: 40 }, (_, i) => record(`victim${i}`));
  const one = node("one", [...victims, record("member")]);
  one.gossip.connected("member", NOW);
  for (let i = 0; i < 5; i++) {
    for (const victim of victims) {
      const { peer, seq } = victim.announcement;
      const newer = record(peer, seq + i);
      if (i > 0) one.records.put(newer);
      const suspects = [{ peer, seq: seq + i }];
      one.gossip.receive("member", said({ suspects }), NOW);
    }
  }
  assert.ok((one.refusals.toObject().suspicion ?? 0) > 100);
});

test("an old suspicion is answered with the newer record", () => {
  const newer = record("x", NOW + 5);
  const one = node("one", [newer, record("member")]);
  one.gossip.connected("member", NOW);
  one.gossip.drain();
  const suspects = [{ peer: "x", seq: NOW }];
  one.gossip.receive("member", said({ suspects }), NOW);
  const [letter] = one.gossip.drain();
  assert.deepEqual(letter?.message.news, [digestOf(newer)]);
  one.gossip.tick(NOW + GOSSIP.graceMs);
  assert.equal(one.records.of("x").length, 1);
});

test("a message has limits, and the rest comes in the next one", () => {
  const many = Array.from({ length: 150 }, (_, i) =>
    record("x", NOW, "ready", i),
  );
  const one = node("one");
  one.own.push(...many);
  one.gossip.connected("member", NOW);
  one.gossip.drain();
  const want = many.map((r) => ({ ...digestOf(r), seq: 0 }));
  one.gossip.receive("member", said({ want }), NOW);
  const sizes = one.gossip.drain().map(({ message }) => message.records.length);
  assert.deepEqual(sizes, [
    MESSAGE_LIMITS.records,
    MESSAGE_LIMITS.records,
    150 - 2 * MESSAGE_LIMITS.records,
  ]);
});

test("a message survives encoding, in about as many bytes as are counted for it", () => {
  const digest = digestOf(record("x", 2 ** 48 - 1));
  const message = said({
    renewals: [
      {
        id: digest.id,
        low: 65_535,
        step: 180,
        value: new Uint8Array(16).fill(7),
        bornMs: NOW - 1_250,
      },
    ],
    news: [digest],
    have: [digestOf(record("y", 0)), digest],
    want: [digest],
    ask: [2 ** 32 - 1],
    suspects: [{ peer: "x".repeat(52), seq: 5 }],
    sync: [{ prefix: 1, low: 2, step: 3 }],
  });
  const bytes = encodeGossip(message, undefined, NOW);
  const read = decodeGossip(bytes, NOW);
  assert.deepEqual(read.message, message);
  const counted = estimateBytes(message, { whole: 0, change: 0 });
  assert.ok(counted >= bytes.length && counted < bytes.length + 20);
});

const hostile: [name: string, bytes: number[]][] = [
  ["a list of an unknown kind", [99, 0, 0, 0, 1]],
  ["more items than it may have", [7, 255, 255, 255, 255]],
  ["fewer bytes than items", [4, 0, 0, 0, 2, 1, 2, 3]],
  ["a list twice", [7, 0, 0, 0, 0, 7, 0, 0, 0, 0]],
  ["half a number", [4, 0, 0]],
  ["a suspect without a name", [8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]],
];
for (const [name, bytes] of hostile)
  test(`a message with ${name} is refused`, () => {
    assert.throws(() => decodeGossip(Uint8Array.from(bytes), NOW), {
      code: "COMMAND_MALFORMED",
    });
  });

test("neighbours: the next two on the ring, and random ones until there are enough", () => {
  const members = Array.from(
    { length: 20 },
    (_, i) => `peer-with-place-${String(i).padStart(2, "0")}`,
  );
  const none = (): boolean => false;
  const dial = neighboursToDial(members[18]!, members, none, () => 0);
  assert.deepEqual(dial.slice(0, 2), [members[19], members[0]]);
  assert.equal(dial.length, MESH.atLeast);
  assert.equal(new Set(dial).size, dial.length);
  assert.ok(!dial.includes(members[18]!));
  const most = (peer: string): boolean => peer !== members[0];
  assert.deepEqual(
    neighboursToDial(members[18]!, members, most, () => 0),
    [members[0]],
  );
  assert.deepEqual(
    neighboursToDial("alone", ["alone"], none, () => 0),
    [],
  );
});
