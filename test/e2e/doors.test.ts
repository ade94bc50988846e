/**
 * Several clusters behind one gateway, with real processes: it finds them at the rendezvous, a request's model chooses, a key is held to its
 * limits and models, `--ollama` opens a second port, and when a cluster is lost the others answer.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { splitModel } from "../../src/model/index.ts";
import { TestCluster } from "../support/cluster.ts";
import type { Member } from "../support/member.ts";
import { DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";
import { freePort } from "../support/wires.ts";

const KEYS = `
keys:
  - name: all
    key: sk-all-0123456789abc
  - name: south
    key: sk-south-0123456789
    models: [south]
    requestsPerMinute: 2
`;
const WAIT_MS = 120_000;

interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

async function asked(
  url: string,
  key: string,
  path: string,
  body?: object,
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    headers: {
      "x-api-key": `sk-${key}`,
      "content-type": "application/json",
    },
    signal: AbortSignal.timeout(WAIT_MS),
    ...(body && { method: "POST", body: JSON.stringify(body) }),
  });
  const { status, headers } = response;
  return { status, headers, text: await response.text() };
}

const complete = (url: string, key: string, model: string): Promise<Answer> =>
  asked(url, key, "/v1/completions", {
    model,
    prompt: "Once upon a time",
    max_tokens: 4,
    temperature: 0,
  });

async function models(url: string, key: string): Promise<string[]> {
  const { text } = await asked(url, key, "/v1/models");
  const { data } = JSON.parse(text) as { data: { id: string }[] };
  return data.map(({ id }) => id).sort();
}

test("a gateway serves every cluster of its rendezvous", async (t) => {
  const scene = await TestCluster.start(t);
  const { home } = scene.members;
  const dir = join(home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: 1, outDir: dir });
  const startNode = (cluster: string): Member =>
    scene.start("node", `node-${cluster}`, [
      "--cluster",
      cluster,
      "--shard",
      "0/1",
      "--model-dir",
      dir,
      "--no-seed",
      "--threads",
      "1",
      "--diagnostics-port",
      "0",
    ]);
  const keys = join(home, "keys.yaml");
  await writeFile(keys, KEYS, { mode: 0o600 });
  const ollamaPort = await freePort();
  const north = startNode("north");
  const gateway = scene.start("serve", "gateway", [
    "--cluster",
    "*",
    "--api-keys",
    keys,
    "--ready-timeout",
    "1",
    "--api-port",
    "0",
    "--ollama",
    String(ollamaPort),
    "--diagnostics-port",
    "off",
  ]);
  const [{ url = "" }] = await Promise.all([
    gateway.whenReady(),
    north.whenReady(),
  ]);

  await until(
    "the first cluster",
    async () => (await models(url, "all-0123456789abc")).length === 1,
  );
  const south = startNode("south");
  await until(
    "a cluster that came later",
    async () => (await models(url, "all-0123456789abc")).length === 2,
  );
  assert.deepEqual(await models(url, "all-0123456789abc"), [
    "north/Shoal demo",
    "south/Shoal demo",
  ]);
  for (const model of ["north", "south/Shoal demo", "Shoal demo"]) {
    const { status, text } = await complete(url, "all-0123456789abc", model);
    assert.equal(status, 200, text);
  }
  const unknown = await complete(url, "all-0123456789abc", "gpt-4");
  assert.equal(unknown.status, 404);
  assert.match(unknown.text, /this gateway serves \\"Shoal demo\\"/);

  // A key with one cluster and two requests a minute.
  assert.deepEqual(await models(url, "south-0123456789"), ["Shoal demo"]);
  const served = await complete(url, "south-0123456789", "Shoal demo");
  assert.equal(served.status, 200, served.text);
  assert.equal(served.headers.get("x-ratelimit-remaining-requests"), "1");
  const foreign = await complete(url, "south-0123456789", "north");
  assert.equal(foreign.status, 404, foreign.text);
  const limited = await complete(url, "south-0123456789", "Shoal demo");
  assert.equal(limited.status, 429, limited.text);
  assert.ok(Number(limited.headers.get("retry-after")) > 0);
  assert.match(limited.text, /"code":"rate_limit_exceeded"/);

  // Ollama's clients have a port of their own, and the same keys and models.
  const ollamaUrl = `http://127.0.0.1:${ollamaPort}`;
  const shown = await asked(ollamaUrl, "south-0123456789", "/api/tags");
  assert.equal(shown.status, 200, shown.text);
  assert.match(shown.text, /"name":"Shoal demo:latest"/);

  // One cluster goes away: its requests are told so, the other answers.
  await south.stop();
  await until(
    "the loss of a cluster",
    async () =>
      (await complete(url, "all-0123456789abc", "south")).status === 503,
  );
  const rest = await complete(url, "all-0123456789abc", "Shoal demo");
  assert.equal(rest.status, 200, rest.text);
});
