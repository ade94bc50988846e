/** A node's spare copies outlive its process, however it ended, and never exceed the current limit. */
import assert from "node:assert/strict";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { readPartialState } from "../../src/store/partial-state.ts";
import { pieceSize } from "../../src/store/index.ts";
import { shoal } from "../support/cli.ts";
import { folderBytes } from "../support/folder.ts";
import type { Member } from "../support/member.ts";
import { type Seeded, seeded } from "../support/seeded.ts";
import { totalsOf } from "../support/spread.ts";
import { until } from "../support/until.ts";

const MB = 1_000_000;

const SHARDS = 4;
/** Room for all that is not in the node's own shard. */
const ALL = 32 * MB;

interface Setting extends Seeded {
  /** Of the node's spare folder. */
  spare: string;
  /** Starts the node, again and again in the same home. */
  node: (spare: number | undefined) => Member;
}

async function setting(t: TestContext, uploadLimit?: number): Promise<Setting> {
  const seed = await seeded(t, SHARDS, uploadLimit);
  const { members, at } = seed;
  let run = 0;
  return {
    ...seed,
    spare: join(members.home, "node/data/spare"),
    node: (spare) =>
      members.start(`node, run ${++run}`, [
        "node",
        "--shard",
        "0",
        "--threads",
        "1",
        "--context",
        "64",
        ...(spare === undefined ? [] : ["--spare", String(spare)]),
        ...at("node"),
      ]),
  };
}

const isCovered = ({ message }: { message: string }): boolean =>
  message === "every part has 2 copies";

const copied = ({ seen }: Member): string[] =>
  seen.flatMap(
    ({ message }) =>
      /^keeping a spare copy of (\S+) of/.exec(message)?.[1] ?? [],
  );

/** The parts that lie there whole. */
async function kept(spare: string): Promise<string[]> {
  const files = await readdir(spare, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile() && !/\.part(\.state)?$/.test(file.name))
    .map(({ name }) => name)
    .toSorted();
}

/** Verified bytes of what is still coming. */
async function begun(spare: string): Promise<number> {
  const files = await readdir(spare, { recursive: true });
  let sum = 0;
  for (const file of files.filter((name) => name.endsWith(".part.state"))) {
    const state = await readPartialState(join(spare, file));
    if (state === undefined) continue;
    for (const piece of state.marked)
      sum += pieceSize(state.metadata.sizeBytes, piece);
  }
  return sum;
}

/** Looks at the folder all the time: `end` tells the most that was in it. */
function watching(
  t: TestContext,
  spare: string,
): { end: () => Promise<number> } {
  const over = new AbortController();
  t.after(() => over.abort());
  const looking = (async () => {
    let most = 0;
    while (!over.signal.aborted) {
      most = Math.max(most, await folderBytes(spare));
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return most;
  })();
  return {
    end: () => {
      over.abort();
      return looking;
    },
  };
}

/** How many copies the cluster has of each part, by its name. */
async function copies(at: readonly string[]): Promise<Map<string, number>> {
  const told = await shoal(["torrents", "--json", ...at]);
  assert.equal(told.code, 0, told.stderr);
  const { parts } = JSON.parse(told.stdout) as {
    parts: { name: string; copies: number }[];
  };
  return new Map(parts.map((p) => [p.name.split(" ")[0] ?? "", p.copies]));
}

test("spare copies survive kill -9: nothing is downloaded again, and they are still shared", async (t) => {
  const { members, seeder, spare, node, at } = await setting(t);
  const first = node(ALL);
  await first.whenReady();
  await first.when(isCovered, "all to be kept");
  const parts = await kept(spare);
  assert.ok(parts.length >= SHARDS);
  assert.deepEqual(copied(first).toSorted(), parts);
  const bytes = await folderBytes(spare);
  assert.ok(bytes <= ALL);
  await first.kill();

  const second = node(ALL);
  await second.whenReady();
  await second.when(isCovered, "its copies to count again");
  assert.deepEqual(copied(second), []);
  assert.deepEqual(await kept(spare), parts);
  assert.equal(await folderBytes(spare), bytes);

  // With the seeder gone it alone has them.
  await seeder.kill();
  const heir = members.start("heir", [
    "node",
    "--layers",
    "0-3",
    "--threads",
    "1",
    "--context",
    "64",
    ...at("heir"),
  ]);
  await heir.whenReady();
  const { downloaded } = await totalsOf(second);
  assert.equal(downloaded, 0);
  await heir.kill();

  // Nobody else is left: what it needs itself lies in its shard and in what it keeps.
  const alone = members.start("node, alone", [
    "node",
    "--layers",
    "0-3",
    "--threads",
    "1",
    "--context",
    "64",
    "--spare",
    String(ALL),
    ...at("node"),
  ]);
  await alone.whenReady();
  assert.equal((await totalsOf(alone)).downloaded, 0);
});

test("killed while it copies, it continues from the verified pieces; damaged ones are downloaded again", async (t) => {
  const { spare, node } = await setting(t, 4 * MB);
  const used = watching(t, spare);
  const first = node(ALL);
  await first.whenReady();
  await first.when(
    ({ message }) => message.startsWith("keeping a spare copy of "),
    "one",
  );
  await until("another to be on its way", async () => (await begun(spare)) > 0);
  await first.kill();
  const [whole] = await kept(spare);
  assert.ok(whole !== undefined);
  const before = await begun(spare);
  assert.ok(before > 0);
  const models = await readdir(spare);
  await using file = await open(join(spare, models[0] ?? "", whole), "r+");
  await file.write(Buffer.from("damaged"), 0, 7, 12_345);

  const second = node(ALL);
  await second.whenReady();
  await second.when(
    ({ message }) =>
      message.startsWith(`${whole} of `) && message.includes("damaged"),
    "the damage to be told",
  );
  await second.when(isCovered, "all to be kept");
  const parts = await kept(spare);
  assert.deepEqual(
    [...copied(second)].toSorted(),
    parts.filter((part) => part === whole || !copied(first).includes(part)),
  );
  const { downloaded } = await totalsOf(second);
  const sizes = await Promise.all(
    copied(second).map((part) =>
      stat(join(spare, models[0] ?? "", part)).then(({ size }) => size),
    ),
  );
  const missing = sizes.reduce((a, b) => a + b, 0) - before;
  assert.ok(downloaded <= missing, `${downloaded} bytes for ${missing}`);
  assert.ok((await used.end()) <= ALL);
});

test("a restart with a lower limit frees the excess, and a restart without one frees everything", async (t) => {
  const { seeder, spare, node, at } = await setting(t);
  const first = node(ALL);
  await first.whenReady();
  await first.when(isCovered, "all to be kept");
  const before = await kept(spare);
  await first.stop();

  const less = 16 * MB;
  assert.ok((await folderBytes(spare)) > less);
  const second = node(less);
  await second.whenReady();
  await until("it to be freed", async () => (await folderBytes(spare)) <= less);
  const used = watching(t, spare);
  const here = await kept(spare);
  assert.ok(here.length > 0 && here.length < before.length);
  assert.ok(here.every((part) => before.includes(part)));
  // Those that went have the seeder's copy left, and others are as they were.
  const told = () => copies(at("reader"));
  await until("the rest to be shared still", async () => {
    const count = await told();
    return before.every((p) => count.get(p) === (here.includes(p) ? 2 : 1));
  });
  assert.deepEqual(await kept(spare), here);
  const { downloaded } = await totalsOf(second);
  assert.equal(downloaded, 0);
  assert.ok((await used.end()) <= less);

  const third = node(undefined);
  await third.whenReady();
  await third.when(
    ({ message }) => message.startsWith("freed "),
    "all to be freed",
  );
  assert.equal(await folderBytes(spare), 0);
  await seeder.kill();
});
