/** Links to other holders are measured round by round, and a changed time is announced at once, but not all the time. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import { TIMES_WATCH, TimesWatch } from "./times-watch.ts";

function watching(t: TestContext, peers: string[]) {
  const clock = new HandClock();
  const seen = { pinged: [] as string[], announced: 0, changed: false };
  const watch = new TimesWatch({
    host: {
      ping: async (peer) => {
        seen.pinged.push(peer);
        if (peer === "gone") throw new Error("the connection closed");
        return 1;
      },
    },
    clock,
    links: () => peers.map((peer) => ({ peer, roundTrip: 1 })),
    haveChanged: () => seen.changed,
    announce: () => seen.announced++,
  });
  watch.start();
  t.after(() => watch.stop());
  const rounds = (n: number): Promise<void> =>
    clock.pass(n * TIMES_WATCH.roundMs);
  return { seen, watch, rounds };
}

test("each round measures each link once, whatever became of another", async (t) => {
  const { seen, rounds } = watching(t, ["a", "gone", "b"]);
  await rounds(2);
  assert.deepEqual(seen.pinged, ["a", "gone", "b", "a", "gone", "b"]);
  assert.equal(seen.announced, 0);
});

test("a round has a bound", async (t) => {
  const many = Array.from({ length: 100 }, (_, i) => `${i}`);
  const { seen, rounds } = watching(t, many);
  await rounds(1);
  assert.equal(seen.pinged.length, TIMES_WATCH.peers);
});

test("a change is announced in its round; one that goes on, in every other round", async (t) => {
  const { seen, rounds } = watching(t, ["a"]);
  await rounds(3);
  seen.changed = true;
  await rounds(1);
  assert.equal(seen.announced, 1);
  await rounds(5);
  assert.equal(seen.announced, 3);
  seen.changed = false;
  await rounds(5);
  assert.equal(seen.announced, 3);
});

test("nothing is measured after the end", async (t) => {
  const { seen, watch, rounds } = watching(t, ["a"]);
  watch.stop();
  watch.stop();
  await rounds(3);
  assert.deepEqual(seen.pinged, []);
});
