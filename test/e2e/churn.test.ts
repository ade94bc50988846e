/** A cluster of many processes knows its members, what is missing, and when prompts can run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { splitModel } from "../../src/model/index.ts";
import type { ShoalEvent } from "../../src/lib/index.ts";
import { TestCluster } from "../support/cluster.ts";
import { Lateness } from "../support/lateness.ts";
import { type Member, MEMBER_PATIENCE_MS } from "../support/member.ts";
import { shuffled } from "../support/random.ts";
import { answering, complete, DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const SHARDS = 8;
const PROMPT = "Once upon a time";

/** What is missing is told at once. */
const AT_ONCE = ["--api-port", "0", "--ready-timeout", "0"];

/** Every process notices within 5 s. */
const NOTICE_MS = 5_000;
const SILENT_MS = 15_000;

const missing = (shard: number) => (event: ShoalEvent) =>
  event.tag === "SWARM" &&
  event.message.startsWith("no longer ready") &&
  event.message.includes(`shard ${shard} `);

const isAnnounced = (event: ShoalEvent) =>
  event.tag === "CLUSTER" && event.message.startsWith("announced");

test("eight nodes in any order become ready, one is killed and comes back, and all know it each time", async (t) => {
  const cluster = await TestCluster.start(t);
  const dir = join(cluster.members.home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
  const node = (i: number) =>
    cluster.start("node", `node-${i}`, [
      "--shard",
      `${i}/${SHARDS}`,
      "--model-dir",
      dir,
      "--no-seed",
      "--threads",
      "1",
    ]);
  const seed = Date.now() % 100_000;
  t.diagnostic(`started in the order of seed ${seed}`);
  const gateway = cluster.start("serve", "gateway", AT_ONCE);
  const nodes = new Map(
    shuffled([...Array(SHARDS).keys()], seed).map((i) => [i, node(i)]),
  );
  const infos = await Promise.all(
    [...nodes.values()].map((n) => n.whenReady()),
  );
  assert.equal(new Set(infos.map(({ peerId }) => peerId)).size, SHARDS);

  const everyone = [gateway, ...nodes.values()];
  using lateness = new Lateness();
  const ready = await Promise.all(everyone.map((m) => m.swarmReady()));
  // A shard on disk is loaded before its node joins: the cluster can know of it from when it is announced.
  const lastLoad = Math.max(
    ...[...nodes.values()].map((n) => n.seen.find(isAnnounced)!.timeMs),
  );
  const late = Math.max(...ready.map((e) => e.timeMs)) - lastLoad;
  t.diagnostic(`all saw it ready ${late} ms after the last was announced`);
  assert.ok(
    late - lateness.ms < NOTICE_MS,
    `${late} ms after the last was announced`,
  );

  const { url } = await gateway.whenReady();
  const healthy = async (status: number) => {
    const until = Date.now() + MEMBER_PATIENCE_MS;
    for (;;) {
      const response = await fetch(`${url}/health`);
      const body = (await response.json()) as { error?: { message: string } };
      if (response.status === status) return body;
      assert.ok(Date.now() < until, `health stayed ${response.status}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await healthy(200);
  const first = await complete(url!, PROMPT, 16);
  assert.ok(first.tokens > 0);

  const victim = 3;
  const rest = everyone.filter((m) => m !== nodes.get(victim));
  const marks = rest.map((m) => m.mark());
  using lateToMiss = new Lateness();
  const killedMs = Date.now();
  await nodes.get(victim)!.kill();
  const lost = await Promise.all(
    rest.map((m, i) =>
      m.when(missing(victim), `shard ${victim} to be missed`, marks[i]),
    ),
  );
  const noticed = Math.max(...lost.map((e) => e.timeMs)) - killedMs;
  t.diagnostic(`all missed the killed node after ${noticed} ms`);
  assert.ok(
    noticed - lateToMiss.ms < NOTICE_MS,
    `${noticed} ms after the kill`,
  );
  await assert.rejects(
    complete(url!, PROMPT, 4),
    (error: Error) =>
      error.message.startsWith("503") &&
      error.message.includes(`shard ${victim} of ${SHARDS}`),
  );

  const again = rest.map((m) => m.mark());
  const back = node(victim);
  const { peerId } = await back.whenReady();
  assert.equal(peerId, infos[[...nodes.keys()].indexOf(victim)]!.peerId);
  await Promise.all([...rest, back].map((m, i) => m.swarmReady(again[i])));
  await healthy(200);
  assert.equal((await complete(url!, PROMPT, 16)).text, first.text);
});

test("a node that falls silent is missed within 15 s, and is back when it wakes; one that is told to stop lets its sessions end, and takes no new one", async (t) => {
  const cluster = await TestCluster.start(t);
  const { gateway, nodes, url } = await small(cluster, 2);
  const [, sleeper] = nodes;
  const rest = [gateway, nodes[0]!];
  const marks = rest.map((m) => m.mark());
  const stoppedMs = Date.now();
  process.kill(sleeper!.pid, "SIGSTOP");
  const lost = await Promise.all(
    rest.map((m, i) => m.when(missing(1), "shard 1 to be missed", marks[i])),
  );
  const noticed = Math.max(...lost.map((e) => e.timeMs)) - stoppedMs;
  t.diagnostic(`missed after ${noticed} ms`);
  assert.ok(noticed < SILENT_MS, `${noticed} ms after it fell silent`);
  const again = rest.map((m) => m.mark());
  process.kill(sleeper!.pid, "SIGCONT");
  await Promise.all(rest.map((m, i) => m.swarmReady(again[i])));
  // At most some are refused before, for connections that only one side knows of.
  await until("a prompt to be answered", () =>
    complete(url, PROMPT, 4).then(
      () => true,
      () => false,
    ),
  );
  await leaves(nodes[0]!, url);
});

/** A node that is told to stop lets its sessions end, and takes no new one. */
async function leaves(leaving: Member, url: string): Promise<void> {
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as {
    data: { id: string }[];
  };
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    signal: AbortSignal.timeout(MEMBER_PATIENCE_MS),
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: data[0]!.id,
      prompt: PROMPT,
      max_tokens: 200,
      temperature: 0,
      logit_bias: { 2: -100 },
      stream: true,
    }),
  });
  assert.equal(response.status, 200);
  const reader = response.body!.pipeThrough(new TextDecoderStream());
  let text = "";
  let told = false;
  for await (const chunk of reader) {
    text += chunk;
    if (!told) void leaving.stop();
    told = true;
  }
  assert.match(text, /"finish_reason":"length"/);
  assert.match(text, /\[DONE\]\s*$/);
  assert.equal(await leaving.exited, 0);
  await assert.rejects(complete(url, PROMPT, 4), /503.*shard 0 of 2/);
}

test("nodes without --shard take one each; a lost shard is taken over by the other, and given back when it is held again", async (t) => {
  const cluster = await TestCluster.start(t);
  const seeder = cluster.start("seed", "seeder", [DEMO_MODEL, "--shards", "2"]);
  await seeder.whenReady();
  const gateway = cluster.start("serve", "gateway", ["--api-port", "0"]);
  const how = ["--threads", "1", "--memory", "4GB", "--standby", "off"];
  const nodes = [0, 1].map((i) => cluster.start("node", `node-${i}`, how));
  await Promise.all([gateway, ...nodes].map((m) => m.swarmReady()));
  const taken = await Promise.all(nodes.map((m) => shardTaken(m)));
  assert.deepEqual(new Set(taken), new Set(["0/2", "1/2"]));
  const { url = "" } = await gateway.whenReady();
  await answering(url);
  const before = await complete(url, PROMPT, 12);

  const [left, lost] = nodes;
  const from = [left!, gateway].map((m) => m.mark());
  await lost!.kill();
  await Promise.all([
    left!.when(
      (e) => e.tag === "SHARD" && e.message.startsWith("taking over"),
      "the lost shard to be taken over",
      from[0],
    ),
    gateway.swarmReady(from[1]),
  ]);
  await answering(url);
  assert.equal((await complete(url, PROMPT, 12)).text, before.text);
  t.diagnostic(`taken over by ${left!.name}, which held ${taken[0]}`);

  // Well covered is what somebody else has held for a minute.
  const [index = ""] = (taken[1] ?? "").split("/");
  const since = [left!, gateway].map((m) => m.mark());
  const again = cluster.start("node", lost!.name, [...how, "--shard", index]);
  await again.swarmReady();
  const isGivenBack = (e: ShoalEvent): boolean =>
    e.tag === "SHARD" && e.message === "gave the shard back";
  const given = await left!.when(isGivenBack, "it to be freed", since[0]);
  assert.match(String(given.fields.shard), new RegExp(`^${index}/2 `));
  assert.equal((await complete(url, PROMPT, 12)).text, before.text);
  const lostAgain = gateway.seen
    .slice(since[1])
    .filter(({ message }) => message.startsWith("no longer ready"));
  assert.deepEqual(lostAgain, [], "the swarm was ready all the time");
});

/** "0/2": the shard that a node without `--shard` chose. */
async function shardTaken(member: Member): Promise<string | undefined> {
  const said = await member.when(
    (e) => e.tag === "CLUSTER" && e.message.startsWith("announced as ready"),
    "its shard to be announced",
  );
  return String(said.fields.shard).split(" ")[0];
}

/** A cluster of `count` nodes with a shard of the demo model each, and a gateway; ready. */
async function small(cluster: TestCluster, count: number) {
  const dir = join(cluster.members.home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: count, outDir: dir });
  const gateway = cluster.start("serve", "gateway", AT_ONCE);
  const how = ["--model-dir", dir, "--no-seed", "--threads", "1"];
  const nodes = Array.from({ length: count }, (_, i) =>
    cluster.start("node", `node-${i}`, ["--shard", `${i}/${count}`, ...how]),
  );
  await Promise.all([gateway, ...nodes].map((m) => m.swarmReady()));
  const { url = "" } = await gateway.whenReady();
  await answering(url);
  return { gateway, nodes, url };
}
