/** What a link takes is the least round trip of the last seconds, because load only adds; what is older does not count. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS } from "./defaults.ts";
import { gain, RecentRoundTrips } from "./heartbeat.ts";

test("the least of the last seconds counts, and else the last", () => {
  const recent = new RecentRoundTrips();
  assert.equal(recent.least(), undefined);
  recent.add(5, 0);
  recent.add(2, 1_000);
  recent.add(9, 2_000);
  assert.equal(recent.least(), 2);
  // The link became slow; the fast sample is too old.
  recent.add(40, 1_000 + DEFAULTS.roundTripAgeMs);
  assert.equal(recent.least(), 9);
  recent.add(41, 2_000 + DEFAULTS.roundTripAgeMs);
  assert.equal(recent.least(), 40);
  recent.add(50, 10 * DEFAULTS.roundTripAgeMs);
  assert.equal(recent.least(), 50);
});

test("however many echoes arrive, only a few are kept", () => {
  const recent = new RecentRoundTrips();
  recent.add(1, 0);
  for (let i = 0; i < 1_000; i++) recent.add(3, i / 1_000);
  assert.equal(recent.least(), 3);
});

test("a smoothed round trip follows within a few echoes, also if these are rare", () => {
  const echoesUntilNear = (everyMs: number): number => {
    let smoothedMs = 40;
    for (let echoes = 1; ; echoes++) {
      smoothedMs += (90 - smoothedMs) * gain(everyMs);
      if (smoothedMs > 85) return echoes;
    }
  };
  assert.equal(echoesUntilNear(100), 18);
  assert.equal(echoesUntilNear(4_000), 5);
  assert.equal(echoesUntilNear(15_000), 1);
});
