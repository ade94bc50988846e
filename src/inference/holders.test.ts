/** What a gateway knows of its own sessions, before the next announcement tells it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { announcementOf } from "../../test/support/announcements.ts";
import { OwnSessions } from "./holders.ts";

const ROUTE = [
  { peer: "a", layerStart: 0, layerEnd: 2, addresses: [] },
  { peer: "a", layerStart: 2, layerEnd: 4, addresses: [] },
];

test("own sessions count until they end, and announced ones if they are more", () => {
  const own = new OwnSessions();
  const active = (announced: number, layerStart = 0): number =>
    own.candidate(
      announcementOf({
        peer: "a",
        layerStart,
        layerEnd: layerStart + 2,
        sessions: { active: announced, max: 4 },
      }),
      100,
    ).sessions.active;
  assert.equal(active(0), 0);
  const ends = [own.begin(ROUTE), own.begin(ROUTE), own.begin([ROUTE[0]!])];
  assert.deepEqual([active(0), active(0, 2), active(0, 4)], [3, 2, 0]);
  assert.equal(active(4), 4);
  ends[0]!();
  ends[0]!();
  assert.deepEqual([active(0), active(0, 2)], [2, 1]);
  ends[1]!();
  ends[2]!();
  assert.equal(active(0), 0);
});

test("a holder without room for a session's tokens is as busy as one without a session left", () => {
  const announced = announcementOf({ kvTokens: { free: 512, total: 2_048 } });
  const active = (tokens: number): number =>
    new OwnSessions().candidate(announced, tokens).sessions.active;
  assert.deepEqual([active(512), active(513)], [0, 4]);
});

test("round trips are announced in tenths of a millisecond", () => {
  const { links, roundTripsMs } = new OwnSessions().candidate(
    announcementOf({ links: ["b", "c"], roundTrips: [405, 0] }),
    100,
  );
  assert.deepEqual(
    [links, roundTripsMs],
    [
      ["b", "c"],
      [40.5, 0],
    ],
  );
});
