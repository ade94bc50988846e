/** One seeder has the model; the nodes start with only the cluster's name and a bootstrap address. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { splitModel } from "../../src/model/index.ts";
import { shoal } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { assertGreedy, CONTEXT_LENGTH } from "../support/greedy.ts";
import { seeded } from "../support/seeded.ts";
import { DEMO_MODEL, startSwarm } from "../support/swarm.ts";

const NODES = 4;
const sha256 = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");

test("empty nodes download their shards, equal on every machine, and answer as llama.cpp does, token for token", async (t) => {
  const cut = await temporaryFolder(t);
  await splitModel({ path: DEMO_MODEL, shards: NODES, outDir: cut });
  const contextLength = CONTEXT_LENGTH;
  await using swarm = await startSwarm({
    nodes: NODES,
    fromSeeder: true,
    contextLength,
  });
  for (let i = 0; i < NODES; i++) {
    const models = join(swarm.home, `node-${i}`, "data", "models");
    const files = await readdir(models, { recursive: true });
    const shards = files.filter((name) => /layers-\d+-\d+\.gguf$/.test(name));
    assert.equal(shards.length, 1, files.join(", "));
    const fetched = await readFile(join(models, shards[0]!));
    const expected = await readFile(join(cut, `shard-${i}.gguf`));
    assert.equal(sha256(fetched), sha256(expected), `shard ${i}`);
    // The parts are in the shard now; none is left beside it.
    assert.deepEqual(
      files.filter((name) => /parts\/./.test(name)),
      [],
    );
  }
  await assertGreedy(DEMO_MODEL, swarm.apiUrl);

  const at = [
    "--bootstrap",
    swarm.bootstrap,
    "--cluster",
    swarm.cluster,
    "--listen",
    "127.0.0.1:0",
    "--home",
    cut,
  ];
  const list = await shoal(["get", ...at]);
  assert.match(list.stdout, /layer\.3 of Shoal demo\n/);
  const out = join(cut, "copy.gguf");
  const got = await shoal(["get", "shoal-demo.gguf", "--out", out, ...at]);
  assert.equal(got.code, 0, got.stderr);
  assert.ok((await readFile(out)).equals(await readFile(DEMO_MODEL)));
  const none = await shoal(["get", "nothing.gguf", ...at]);
  assert.match(none.stderr, /\(CONTENT_UNKNOWN\)/);
});

test("a node's first start warns of nothing, and a stop does not report the members it forgets", async (t) => {
  const { members, seeder, at } = await seeded(t, 2);
  const how = ["--threads", "1", "--context", "64"];
  const nodes = ["node-0", "node-1"].map((name, i) =>
    members.start(name, ["node", "--shard", `${i}/2`, ...how, ...at(name)]),
  );
  const gateway = members.start("gateway", [
    "serve",
    "--api-port",
    "0",
    ...at("gateway"),
  ]);
  const all = [gateway, seeder, ...nodes];
  await Promise.all([...nodes, gateway].map((member) => member.swarmReady()));
  // Until the shards are shared in place of their parts, which are removed.
  for (const node of nodes)
    await node.when(({ message, fields }) => {
      return message === "sharing a content" && fields["kind"] === "shard";
    }, "its shard shared");
  const warnings = nodes.flatMap(({ name, seen }) =>
    seen
      .filter(({ level }) => level === "warn" || level === "error")
      .map(({ message }) => `${name}: ${message}`),
  );
  assert.deepEqual(warnings, []);
  const marks = all.map((member) => member.mark());
  for (const member of all) await member.stop();
  for (const [i, { name, seen }] of all.entries()) {
    const told = seen.slice(marks[i]).map(({ message }) => message);
    assert.ok(
      !told.some((message) => message.includes("no node has joined")),
      `${name}:\n${told.join("\n")}`,
    );
  }
});
