/** Parts outlive their seeder: members with spare disk keep them within their limit, as does a rendezvous with a seed folder. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { shoal } from "../support/cli.ts";
import { folderBytes, temporaryFolder } from "../support/folder.ts";
import { Members } from "../support/member.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

const MB = 1_000_000;

const isCovered = ({ message }: { message: string }): boolean =>
  message === "every part has 2 copies";

test("two nodes with spare disk keep what their seeder had, and a third starts from them", async (t) => {
  const watching = new AbortController();
  t.after(() => watching.abort());
  const members = await Members.of(t);
  const { home } = members;
  const rendezvous = await members.rendezvous();
  const at = (name: string): string[] => members.at(rendezvous, name);
  const seed = ["seed", DEMO_MODEL, "--shards", "4", ...at("seeder")];
  const seeder = members.start("seeder", seed);
  await seeder.whenReady();
  const model = (await readFile(DEMO_MODEL)).length;
  const offered = [3 * MB, 3 * MB];
  assert.ok(
    offered.every((bytes) => bytes < model),
    "less than everything",
  );
  const nodes = offered.map((bytes, i) =>
    members.start(`node ${i}`, [
      "node",
      "--shard",
      String(i),
      "--threads",
      "1",
      "--spare",
      String(bytes),
      ...at(`node-${i}`),
    ]),
  );
  const tooMuch: string[] = [];
  const watch = (async () => {
    while (!watching.signal.aborted) {
      for (const [i, bytes] of offered.entries()) {
        const used = await folderBytes(join(home, `node-${i}`, "data/spare"));
        if (used > bytes) tooMuch.push(`node ${i} uses ${used} of ${bytes}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  await Promise.all(nodes.map((node) => node.whenReady()));
  await seeder.when(
    ({ message }) => /parts? under target$/.test(message),
    "parts under target to be told",
  );
  await seeder.when(isCovered, "the target");
  const told = await shoal(["torrents", ...at("reader")]);
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stdout, /[23]\/2 {2}layer\.2 of Shoal demo/);
  assert.match(told.stdout, /\n0 of \d+ parts have too few copies\n/);

  await seeder.kill();
  const third = members.start("third", [
    "node",
    "--layers",
    "0-7",
    "--threads",
    "1",
    ...at("third"),
  ]);
  await third.whenReady();
  const lost = await shoal(["torrents", "--json", ...at("reader")]);
  const { parts } = JSON.parse(lost.stdout) as { parts: { copies: number }[] };
  assert.ok(parts.every(({ copies }) => copies >= 1));

  // Kept over a restart, and counted.
  const [first] = nodes;
  const kept = await folderBytes(join(home, "node-0/data/spare"));
  assert.ok(kept > 0);
  await first!.stop();
  assert.equal(await folderBytes(join(home, "node-0/data/spare")), kept);
  watching.abort();
  await watch;
  assert.deepEqual(tooMuch, []);
});

test("a rendezvous with a seed folder keeps the model for nodes that join when no member is left", async (t) => {
  const members = await Members.of(t);
  const { home } = members;
  const limit = ["--seed-dir", join(home, "seed"), "--seed-limit", "64MB"];
  const rendezvous = await members.rendezvous(limit);
  const at = (name: string): string[] => members.at(rendezvous, name);
  const seed = ["seed", DEMO_MODEL, "--shards", "2", ...at("seeder")];
  const seeder = members.start("seeder", seed);
  await seeder.whenReady();
  await seeder.when(isCovered, "the target");
  assert.ok((await folderBytes(join(home, "seed"))) <= 64 * MB);
  await seeder.kill();
  const node = members.start("node", [
    "node",
    "--layers",
    "0-7",
    "--threads",
    "1",
    ...at("node"),
  ]);
  await node.whenReady();
});

test("a seed folder without a bound is refused", async (t) => {
  const home = await temporaryFolder(t);
  const run = await shoal([
    "rendezvous",
    "--seed-dir",
    join(home, "seed"),
    "--home",
    home,
  ]);
  assert.equal(run.code, 64);
  assert.match(run.stderr, /--seed-limit is needed/);
});
