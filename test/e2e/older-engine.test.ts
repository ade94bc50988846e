/** A node whose llama.cpp is too old for the cluster's model says so before it fetches weights. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Events, resolvePaths } from "../../src/lib/index.ts";
import { parseListen } from "../../src/network/index.ts";
import {
  startNode,
  startRendezvous,
  startSeeder,
} from "../../src/roles/index.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { temporaryFolder } from "../support/folder.ts";
import { renamedEngine } from "../support/older-engine.ts";

const { signal } = new AbortController();
const listen = parseListen("127.0.0.1:0");

test("a node with llama.cpp v0.4.0 refuses gemma2 before it fetches a shard", async (t) => {
  const home = await temporaryFolder(t);
  const told: string[] = [];
  const context = (name: string) => {
    const events = new Events();
    if (name === "node") events.subscribe(({ message }) => told.push(message));
    return { events, paths: resolvePaths(join(home, name)), signal };
  };
  const model = join(home, "gemma2.gguf");
  await writeTinyModel(model, "gemma2");
  const rendezvous = await startRendezvous({ listen }, context("rendezvous"));
  t.after(() => rendezvous.stop());
  const common = {
    bootstraps: [rendezvous.info.addresses[0]!],
    cluster: "c",
    listen,
    bootstrapTimeoutMs: 30_000,
  };
  const seeder = await startSeeder(
    { ...common, model, shards: 2, origin: [] },
    context("seeder"),
  );
  t.after(() => seeder.stop());
  await renamedEngine(t);
  await assert.rejects(
    startNode(
      { ...common, sessions: 1, threads: 1, seed: true },
      context("node"),
    ),
    { code: "MODEL_ARCHITECTURE", message: /needs llama\.cpp v0\.5\.0/ },
  );
  assert.ok(told.some((message) => message.startsWith("metadata of ")));
  assert.deepEqual(
    told.filter((message) =>
      /^(?:downloading )?(?:layer|embedding)/.test(message),
    ),
    [],
  );
});
