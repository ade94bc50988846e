/** One identity that is started twice: from the same home, and from a copy of it. */
import assert from "node:assert/strict";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ShoalEvent } from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import { type Run, shoal } from "../support/cli.ts";
import { TestCluster } from "../support/cluster.ts";
import { clockAhead } from "../support/member.ts";
import { answering, complete, DEMO_MODEL } from "../support/swarm.ts";

const EXIT_UNAVAILABLE = 69;

function assertRefused(run: Run, code: string, what: RegExp): void {
  assert.equal(run.code, EXIT_UNAVAILABLE, run.stdout + run.stderr);
  assert.match(run.stderr, new RegExp(`\\(${code}\\)\\n$`));
  assert.match(run.stderr, what);
}

test("a home that is in use is refused to every role, with the process that has it; after that one was killed it is free", async (t) => {
  const cluster = await TestCluster.start(t);
  const node = cluster.start("node", "node", ["--shard", "0/1"]);
  const at = ["--bootstrap", cluster.bootstrap, "--cluster", "test"];
  const homed = (name: string): string[] => ["--home", cluster.homeOf(name)];
  await node.when(({ tag }) => tag === "CONNECT", "the first node");
  const again = ["node", ...at, "--shard", "0/1"];
  const second = await shoal([...again, ...homed("node")]);
  assertRefused(second, "HOME_IN_USE", new RegExp(`\\(${node.pid}\\)`));
  assert.match(second.stderr, /node\/state is in use by another process/);

  const [address = ""] = cluster.bootstrap.split("/p2p/");
  const meet = ["rendezvous", "--listen", address];
  assertRefused(
    await shoal([...meet, ...homed("rendezvous")]),
    "HOME_IN_USE",
    new RegExp(`\\(${cluster.rendezvous.pid}\\)`),
  );

  const gateway = cluster.start("serve", "serve", ["--api-port", "0"]);
  const seed = [DEMO_MODEL, "--shards", "1"];
  const seeder = cluster.start("seed", "seeder", seed);
  for (const member of [gateway, seeder]) await member.whenReady();
  const serve = ["serve", ...at, "--api-port", "0", ...homed("serve")];
  assertRefused(await shoal(serve), "HOME_IN_USE", /serve\/state is in use/);
  const publish = ["seed", ...seed, ...at, ...homed("seeder")];
  assertRefused(await shoal(publish), "HOME_IN_USE", /seeder\/state is in use/);

  await node.whenReady();
  await node.kill();
  await cluster.start("node", "node", ["--shard", "0/1"]).swarmReady();
});

test("a copied home: the copy is refused, names the first and is named to it; the first serves on; with a key of its own the copy joins", async (t) => {
  const cluster = await TestCluster.start(t);
  const dir = join(cluster.members.home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: 2, outDir: dir });
  const of = (shard: number): string[] => [
    "--shard",
    `${shard}/2`,
    "--model-dir",
    dir,
    "--no-seed",
    "--threads",
    "1",
  ];
  const gateway = cluster.start("serve", "gateway", ["--api-port", "0"]);
  const first = cluster.start("node", "first", of(0));
  cluster.start("node", "other", of(1));
  const { url = "" } = await gateway.whenReady();
  const { peerId } = await first.whenReady();
  await gateway.swarmReady();
  await answering(url);
  const { text } = await complete(url, "Once upon a time", 12);

  const state = join(cluster.homeOf("copy"), "state");
  await mkdir(state, { recursive: true });
  for (const key of ["node.key", "transfer.key"])
    await copyFile(
      join(cluster.homeOf("first"), "state", key),
      join(state, key),
    ).catch(() => {}); // it has no transfer.key where it shares nothing
  const at = ["--bootstrap", cluster.bootstrap, "--cluster", "test"];
  const listen = ["--listen", "127.0.0.1:0"];
  const home = ["--home", cluster.homeOf("copy")];
  const before = await shoal(["doctor", "--json", ...at, ...home]);
  assert.match(before.stdout, /"code": "IDENTITY_TWICE"/);
  assert.match(before.stdout, /a node with this home's identity runs already/);
  const mark = gateway.mark();
  // Of the same shard, and of another.
  for (const shard of [0, 1]) {
    const copy = await shoal(["node", ...of(shard), ...at, ...listen, ...home]);
    assertRefused(copy, "IDENTITY_IN_USE", /its address: QUIC 127\.0\.0\.1:\d/);
    assert.equal((await complete(url, "Once upon a time", 12)).text, text);
  }
  const isTold = ({ fields }: ShoalEvent): boolean =>
    fields.code === "IDENTITY_IN_USE" && fields.peer === peerId;
  await first.when(isTold, "the first to be told");
  await cluster.rendezvous.when(isTold, "the rendezvous to tell of it");
  const anywhere = await shoal(["doctor", "--json", ...at]);
  assert.match(anywhere.stdout, /two processes have the identity of …/);
  // A gateway too, though it announces nothing.
  const gatewayState = join(cluster.homeOf("gateway copy"), "state");
  await mkdir(gatewayState, { recursive: true });
  const key = join(cluster.homeOf("gateway"), "state", "gateway.key");
  await copyFile(key, join(gatewayState, "gateway.key"));
  const serve = ["serve", "--api-port", "0", ...at, ...listen, "--home"];
  assertRefused(
    await shoal([...serve, cluster.homeOf("gateway copy")]),
    "IDENTITY_IN_USE",
    /this one stops/,
  );
  assert.deepEqual(
    gateway.seen
      .slice(mark)
      .filter(
        ({ tag, message }) =>
          tag === "SWARM" && /not? |no longer/.test(message),
      ),
    [],
    "the gateway lost nobody",
  );

  await rm(join(state, "node.key"));
  const own = cluster.start("node", "copy", of(0));
  assert.notEqual((await own.whenReady()).peerId, peerId);
  await own.swarmReady();
});

test("the one that was started later runs already, as after a cut: it stops by itself with the error", async (t) => {
  const cluster = await TestCluster.start(t);
  await cluster
    .start("seed", "seeder", [DEMO_MODEL, "--shards", "1"])
    .whenReady();
  const later = cluster.start("node", "node", ["--shard", "0"]);
  const { peerId } = await later.whenReady();
  const state = join(cluster.homeOf("elder"), "state");
  await mkdir(state, { recursive: true });
  const key = join(cluster.homeOf("node"), "state", "node.key");
  await copyFile(key, join(state, "node.key"));
  // By its machine's clock it was started before.
  const before = clockAhead(-60_000);
  const elder = cluster.start("node", "elder", ["--shard", "0"], before);
  assert.equal(await later.exited, EXIT_UNAVAILABLE);
  const last = later.seen.filter(({ level }) => level === "error");
  assert.deepEqual(
    last.map(({ tag, fields }) => [tag, fields.code]),
    [["PROCESS", "IDENTITY_IN_USE"]],
  );
  assert.equal((await elder.whenReady()).peerId, peerId);
  await elder.swarmReady();
});
