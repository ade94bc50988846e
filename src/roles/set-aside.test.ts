import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { Events, ShoalError } from "../lib/index.ts";
import { givenUpFileSchema, givenUpPath } from "../status/index.ts";
import { SetAside } from "./set-aside.ts";

const MINUTE_MS = 60_000;
const FAILED = new ShoalError("ENGINE_GIVEN_UP", "it failed 8 times");
const SHARD = {
  number: { index: 1, count: 2 },
  range: { layerStart: 4, layerEnd: 8 },
  manifest: { name: "Llama" },
};

async function setAside(t: Parameters<typeof temporaryFolder>[0]) {
  const clock = new HandClock();
  const stateDir = await temporaryFolder(t);
  const start = (): SetAside =>
    new SetAside({ clock, stateDir, events: new Events() });
  const kept = async (): Promise<unknown> =>
    givenUpFileSchema.parse(
      JSON.parse(await readFile(givenUpPath(stateDir), "utf8")),
    );
  return { clock, start, kept, aside: start(), path: givenUpPath(stateDir) };
}

test("a shard that was given up is not taken for ten minutes, and each further time for twice as long, up to two hours", async (t) => {
  const { clock, aside } = await setAside(t);
  const minutes: number[] = [];
  for (let i = 0; i < 6; i++) {
    aside.add(SHARD, FAILED);
    let waited = 0;
    for (; aside.has(SHARD.range); waited++) await clock.pass(MINUTE_MS);
    minutes.push(waited);
    aside.holds(SHARD.range); // it is tried again
  }
  assert.deepEqual(minutes, [10, 20, 40, 80, 120, 120]);
  assert.ok(!aside.has({ layerStart: 0, layerEnd: 4 }), "another one");
});

test("it says why, until it holds the shard again", async (t) => {
  const { clock, aside } = await setAside(t);
  assert.equal(aside.reason(), undefined);
  aside.add(SHARD, FAILED);
  await clock.pass(4 * MINUTE_MS);
  assert.equal(
    aside.reason(),
    "gave up shard 1 of 2 (layers 4-7) (again in 6 min 0 s): it failed 8 times",
  );
  await clock.pass(6 * MINUTE_MS);
  assert.equal(
    aside.reason(),
    "gave up shard 1 of 2 (layers 4-7): it failed 8 times",
  );
  aside.holds(SHARD.range);
  assert.equal(aside.reason(), undefined);
  assert.deepEqual(aside.list(), []);
});

test("what was given up lies in the state folder, until the next start", async (t) => {
  const { clock, start, kept, aside, path } = await setAside(t);
  aside.add(SHARD, FAILED);
  await aside.kept();
  const sinceMs = clock.now();
  assert.deepEqual(await kept(), [
    {
      index: 1,
      count: 2,
      layerStart: 4,
      layerEnd: 8,
      model: "Llama",
      reason: "it failed 8 times",
      sinceMs,
      untilMs: sinceMs + 10 * MINUTE_MS,
    },
  ]);
  aside.holds(SHARD.range);
  await aside.kept();
  assert.deepEqual(await kept(), []);
  await start().kept();
  await assert.rejects(readFile(path), { code: "ENOENT" });
});
