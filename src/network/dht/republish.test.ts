import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../../test/support/clock.ts";
import { Republisher, REPUBLISH } from "./republish.ts";

function start(): {
  clock: HandClock;
  republisher: Republisher;
  said: string[];
  item: (
    key: string,
    copies?: number,
  ) => { store: () => Promise<number | undefined> };
} {
  const clock = new HandClock();
  const said: string[] = [];
  const republisher = new Republisher({
    clock,
    random: () => 0.5,
    onGrowth: async () => {
      said.push("neighbours");
      await Promise.resolve();
    },
  });
  republisher.start();
  return {
    clock,
    republisher,
    said,
    item: (key, copies = 20) => ({
      store: async () => {
        said.push(key);
        await Promise.resolve();
        return copies;
      },
    }),
  };
}

test("everything is repeated once an hour", async () => {
  const { clock, republisher, said, item } = start();
  republisher.add("a", item("a"));
  republisher.stored("a", 20);
  await clock.pass(REPUBLISH.everyMs - REPUBLISH.tickMs);
  assert.deepEqual(said, []);
  await clock.pass(2 * REPUBLISH.tickMs);
  assert.deepEqual(said, ["a"]);
  await clock.pass(REPUBLISH.everyMs);
  assert.deepEqual(said, ["a", "a"]);
  await republisher.stop();
});

test("shorter-lived records are repeated more often, and expired ones no more", async () => {
  const { clock, republisher, said, item } = start();
  republisher.add("short", { ...item("short"), everyMs: 120_000 });
  republisher.add("over", {
    everyMs: 120_000,
    store: async () => {
      said.push("over");
      await Promise.resolve();
      return undefined;
    },
  });
  await clock.pass(245_000);
  assert.deepEqual(said, ["short", "over", "short"]);
  assert.equal(republisher.count("o"), 0);
  await republisher.stop();
});

test("when the table grows, records with few copies are sent again, once for many new peers", async () => {
  const { clock, republisher, said, item } = start();
  for (const [key, copies] of [
    ["thin", 2],
    ["thick", 3],
  ] as const) {
    republisher.add(key, item(key));
    republisher.stored(key, copies);
  }
  for (let peers = 0; peers < 10; peers++) republisher.grew();
  await clock.pass(REPUBLISH.settleMs);
  assert.deepEqual(said, ["neighbours", "thin"]);
  await republisher.stop();
});

test("records that were forgotten or replaced meanwhile are left alone", async () => {
  const { clock, republisher, said, item } = start();
  republisher.add("gone", item("gone", 0));
  republisher.add("kept", item("first kept", 0));
  republisher.remove("gone");
  republisher.add("kept", item("second kept", 0));
  republisher.grew();
  await clock.pass(REPUBLISH.settleMs);
  assert.deepEqual(said, ["neighbours", "second kept"]);
  await republisher.stop();
});

test("there is a bound, and stopping ends it", async () => {
  const { clock, republisher, said, item } = start();
  for (let i = 0; i < REPUBLISH.items; i++)
    assert.ok(republisher.add(`${i}`, item("x")));
  assert.equal(republisher.add("one more", item("x")), false);
  assert.ok(republisher.add("7", item("x")), "renewing one is not growth");
  await republisher.stop();
  republisher.grew();
  await clock.pass(10 * REPUBLISH.everyMs);
  assert.deepEqual(said, []);
});
