/** What a node says about its links: whom it is connected to, and how long a round trip takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ownStateOf } from "../../test/support/announcements.ts";
import { type ConnectionInfo, SeenAs } from "../network/index.ts";
import { LINKS } from "./announcement.ts";
import { type LayersOf, OwnShards } from "./own-shards.ts";
import { haveChanged } from "./own-links.ts";

const peerOf = (i: number): string => `peer-${`${i}`.padStart(8, "0")}`;
const idOf = (i: number): string => peerOf(i).slice(-LINKS.characters);

function connectionTo(peer: string, leastRttMs?: number): ConnectionInfo {
  return {
    id: peer,
    peer,
    address: "",
    transport: "TCP",
    way: "direct",
    direction: "outbound",
    rttMs: 99,
    leastRttMs,
    sinceMs: 0,
  };
}

function shardsOf(
  connections: ConnectionInfo[],
  layersOf?: (peer: string) => LayersOf[],
): OwnShards {
  return new OwnShards({
    host: {
      peerId: "self",
      addresses: () => [],
      seenAs: new SeenAs(),
      connections: () => connections,
      sign: () => Promise.resolve(new Uint8Array()),
    },
    cluster: "friends",
    clock: { now: () => 0, after: () => () => {} },
    wallMs: () => 0,
    capacity: undefined,
    layersOf,
  });
}

/** Layers 2 to 4 of 8. */
function announce(
  connections: ConnectionInfo[],
  layersOf?: (peer: string) => LayersOf[],
): { links: string[]; roundTrips: number[] } {
  const own = shardsOf(connections, layersOf);
  own.hold(() => ownStateOf({ layerStart: 2, layerEnd: 4 }));
  const [said] = own.announcements();
  assert.ok(said?.links !== undefined && said.roundTrips !== undefined);
  return { links: said.links, roundTrips: said.roundTrips };
}

test("each link has its round trip in tenths of a millisecond; unmeasured is 0, and measured never", () => {
  const said = announce([
    connectionTo(peerOf(1), 20.04),
    connectionTo(peerOf(2)),
    connectionTo(peerOf(3), 0.01),
    connectionTo(peerOf(4), 1e9),
  ]);
  assert.deepEqual(said.links, [1, 2, 3, 4].map(idOf));
  assert.deepEqual(said.roundTrips, [200, 0, 1, LINKS.maxRoundTrip]);
});

test("of several connections to a peer the fastest counts", () => {
  const said = announce([
    connectionTo(peerOf(1), 9),
    connectionTo(peerOf(1)),
    connectionTo(peerOf(1), 4),
  ]);
  assert.deepEqual(said, { links: [idOf(1)], roundTrips: [40] });
});

test("of too many links, those to holders of the layers before and after come first", () => {
  const layers = new Map<string, LayersOf[]>([
    [peerOf(18), [{ layerStart: 0, layerEnd: 2 }]],
    [peerOf(19), [{ layerStart: 4, layerEnd: 8 }]],
    [peerOf(17), [{ layerStart: 2, layerEnd: 4 }]],
  ]);
  const said = announce(
    Array.from({ length: 20 }, (_, i) => connectionTo(peerOf(i), i + 1)),
    (peer) => layers.get(peer) ?? [],
  );
  assert.equal(said.links.length, LINKS.max);
  assert.deepEqual(said.links.slice(0, 3), [18, 19, 0].map(idOf));
  assert.deepEqual(said.roundTrips.slice(0, 3), [190, 200, 10]);
});

test("the first layers follow the last: a token closes the ring", () => {
  const connections = Array.from({ length: 20 }, (_, i) =>
    connectionTo(peerOf(i), 1),
  );
  const own = shardsOf(connections, (peer) =>
    peer === peerOf(19) ? [{ layerStart: 0, layerEnd: 2 }] : [],
  );
  own.hold(() => ownStateOf({ layerStart: 6, layerEnd: 8 }));
  assert.equal(own.announcements()[0]?.links?.[0], idOf(19));
});

const changes: [was: number, is: number, isChange: boolean, why: string][] = [
  [0, 400, true, "it was not measured before"],
  [400, 0, false, "it is not measured any more"],
  [400, 910, true, "slower"],
  [910, 400, true, "faster"],
  [400, 440, false, "a tenth"],
  [400, 450, true, "more than a tenth"],
  [3, 20, false, "less than two milliseconds"],
  [3, 40, true, "a near one became slow"],
];
for (const [was, is, isChange, why] of changes)
  test(`a round trip of ${is / 10} ms after ${was / 10} ms is ${isChange ? "a" : "no"} change: ${why}`, () => {
    const said = { links: [idOf(1)], roundTrips: [was] };
    const now = [{ peer: peerOf(1), roundTrip: is }];
    assert.equal(haveChanged(now, said), isChange);
  });

test("a change counts if it is of a link to a holder, until it is announced", async () => {
  const [holder, stranger] = [
    connectionTo(peerOf(1), 40),
    connectionTo(peerOf(2), 40),
  ];
  const own = shardsOf([holder, stranger], (peer) =>
    peer === peerOf(1) ? [{ layerStart: 0, layerEnd: 2 }] : [],
  );
  assert.deepEqual(own.linksToHolders(), []);
  const held = own.hold(() => ownStateOf({ layerStart: 2, layerEnd: 4 }));
  const links = [{ peer: peerOf(1), roundTrip: 400 }];
  assert.deepEqual(own.linksToHolders(), links);
  assert.equal(own.haveTimesChanged(), false, "nothing was announced yet");
  await own.seal(held);
  stranger.leastRttMs = 90;
  assert.equal(own.haveTimesChanged(), false);
  holder.leastRttMs = 90;
  assert.equal(own.haveTimesChanged(), true);
  await own.seal(held);
  assert.equal(own.haveTimesChanged(), false);
});

test("a token's first measured time is a change, and then a much longer one", async () => {
  const own = shardsOf([]);
  let msPerToken: number | undefined;
  const held = own.hold(() =>
    ownStateOf({ layerStart: 2, layerEnd: 4, msPerToken }),
  );
  await own.seal(held);
  assert.equal(own.haveTimesChanged(), false);
  msPerToken = 1;
  assert.equal(own.haveTimesChanged(), true);
  await own.seal(held);
  msPerToken = 2;
  assert.equal(own.haveTimesChanged(), false);
  msPerToken = 4;
  assert.equal(own.haveTimesChanged(), true);
});

test("a node with two shards measures each link once", () => {
  const own = shardsOf([connectionTo(peerOf(1), 40)], () => [
    { layerStart: 0, layerEnd: 2 },
  ]);
  own.hold(() => ownStateOf({ layerStart: 2, layerEnd: 4 }));
  own.hold(() => ownStateOf({ layerStart: 4, layerEnd: 6 }));
  assert.equal(own.linksToHolders().length, 1);
});
