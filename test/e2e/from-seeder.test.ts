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
