import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ShoalError } from "../lib/index.ts";
import type { ConnectionInfo, LanPeer } from "../network/index.ts";
import { HandClock } from "../../test/support/clock.ts";
import { Watched } from "../../test/support/network.ts";
import { LAN_JOIN, LanJoiner } from "./lan.ts";

const AT = ["/ip4/192.168.1.12/tcp/1"];

function hint(peerId: string, name = "friends"): LanPeer {
  return { name, peerId, addresses: AT };
}

/** A joiner whose dials are answered by the test; nothing is sent. */
function scene() {
  const events = new Watched();
  const clock = new HandClock();
  const known = new Set<string>();
  const joined: string[] = [];
  const dials: { peer: string; answer: PromiseWithResolvers<void> }[] = [];
  const open = new Set<string>();
  const joiner = new LanJoiner({
    host: {
      peerId: "self",
      addresses: () => [],
      connect: async (target) => {
        const peer = typeof target === "string" ? target : target.peerId!;
        const answer = Promise.withResolvers<void>();
        dials.push({ peer, answer });
        await answer.promise;
        open.add(peer);
        return { peer, transport: "TCP", address: AT[0] } as ConnectionInfo;
      },
      connections: () => [...open].map((peer) => ({ peer }) as ConnectionInfo),
      onPeer: () => () => {},
    },
    events,
    clusters: ["friends", "family"],
    isGuest: false,
    knows: (peer) => known.has(peer),
    join: async (peer, cluster) => void joined.push(`${peer} ${cluster}`),
    clock,
    random: () => 1,
  });
  const answerAll = async (error?: ShoalError): Promise<void> => {
    for (const { answer } of dials.splice(0))
      if (error) answer.reject(error);
      else answer.resolve();
    for (let turn = 0; turn < 5; turn++) await setImmediate();
  };
  return { joiner, events, clock, known, joined, dials, answerAll };
}

test("who is found is joined through once, however often it answers", async () => {
  const { joiner, joined, dials, answerAll } = scene();
  for (let i = 0; i < 3; i++) joiner.found(hint("ada"));
  assert.equal(dials.length, 1);
  await answerAll();
  joiner.found(hint("ada"));
  assert.deepEqual([joined, dials.length], [["ada friends"], 0]);
});

test("a member that gossip told of already is not dialled", () => {
  const { joiner, known, dials } = scene();
  known.add("ada");
  joiner.found(hint("ada"));
  assert.equal(dials.length, 0);
});

test("a peer of two clusters is joined in both", async () => {
  const { joiner, joined, answerAll } = scene();
  joiner.found(hint("ada"));
  await answerAll();
  joiner.found(hint("ada", "family"));
  await answerAll();
  assert.deepEqual(joined, ["ada friends", "ada family"]);
});

test("a thousand made-up peers cause a few dials at once, and no more joins than are useful", async () => {
  const { joiner, joined, dials, answerAll } = scene();
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 1_000; i++) joiner.found(hint(`peer-${round}-${i}`));
    assert.ok(dials.length <= LAN_JOIN.dials);
    await answerAll();
  }
  assert.equal(joined.length, LAN_JOIN.joined);
});

test("a peer that cannot be joined is left alone for a while, told of once, and tried again", async () => {
  const { joiner, events, clock, dials, answerAll, joined } = scene();
  const error = new ShoalError("DIAL_FAILED", "no answer");
  joiner.found(hint("ada"));
  await answerAll(error);
  joiner.found(hint("ada"));
  assert.equal(dials.length, 0);
  await clock.pass(LAN_JOIN.retry.initialMs);
  joiner.found(hint("ada"));
  await answerAll(error);
  const told = events.seen.filter(({ level }) => level === "warn");
  assert.deepEqual(
    told.map(({ message }) => message),
    ["could not join through a member in the local network: no answer"],
  );
  assert.equal(joiner.lastProblem, "no answer");
  await clock.pass(LAN_JOIN.retry.maxMs);
  joiner.found(hint("ada"));
  await answerAll();
  assert.deepEqual(joined, ["ada friends"]);
});

test("the first join is told; without one the wait ends", async () => {
  const { joiner, answerAll } = scene();
  const { signal } = new AbortController();
  assert.equal(await joiner.joinedWithin(1, signal), false);
  joiner.found(hint("ada"));
  await answerAll();
  assert.equal(await joiner.joinedWithin(60_000, signal), true);
});
