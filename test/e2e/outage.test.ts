/** The rendezvous of a running cluster dies and comes back. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { splitModel } from "../../src/model/index.ts";
import { TestCluster } from "../support/cluster.ts";
import { answering, complete, DEMO_MODEL } from "../support/swarm.ts";

const SHARDS = 3;
const OUTAGE_MS = 60_000;
const BACK_MS = 15_000;
const PROMPT = "Once upon a time";

test("prompts are answered while the rendezvous is away for a minute, a node joins through a member, and all are back soon after", async (t) => {
  const cluster = await TestCluster.start(t);
  const dir = join(cluster.members.home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
  const how = ["--model-dir", dir, "--no-seed", "--threads", "1"];
  const node = (i: number, name: string) =>
    cluster.start("node", name, ["--shard", `${i}/${SHARDS}`, ...how]);
  const gateway = cluster.start("serve", "gateway", ["--api-port", "0"]);
  const nodes = Array.from({ length: SHARDS }, (_, i) => node(i, `node-${i}`));
  await Promise.all([gateway, ...nodes].map((m) => m.swarmReady()));
  const { url = "" } = await gateway.whenReady();
  const { bootstrap } = cluster;
  await answering(url);
  const expected = await answer(url);

  const marks = [gateway, ...nodes].map((m) => m.mark());
  const killedMs = Date.now();
  await cluster.rendezvous.kill();
  let prompts = 0;
  // A new node knows one member and nobody else.
  const { addresses } = await nodes[0]!.whenReady();
  cluster.bootstrap = addresses[0]!;
  const replica = node(1, "replica");
  await replica.swarmReady();
  while (Date.now() - killedMs < OUTAGE_MS) {
    assert.equal(await answer(url), expected);
    prompts++;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  t.diagnostic(`${prompts} prompts answered meanwhile`);
  for (const [i, member] of [gateway, ...nodes].entries())
    assert.ok(
      !member.seen
        .slice(marks[i])
        .some((e) => e.message.startsWith("no longer ready")),
      `${member.name} never thought the swarm lost`,
    );

  cluster.bootstrap = bootstrap;
  const before = [gateway, ...nodes].map((m) => m.mark());
  await cluster.restartRendezvous();
  const upMs = Date.now();
  const back = await Promise.all(
    [gateway, ...nodes].map((m, i) =>
      m.when(
        (e) => e.tag === "CLUSTER" && /confirmed|subscribed/.test(e.message),
        "joined again",
        before[i],
      ),
    ),
  );
  const took = Math.max(...back.map((e) => e.timeMs)) - upMs;
  t.diagnostic(`all were back ${took} ms after it`);
  assert.ok(took < BACK_MS, `${took} ms`);
  for (const [i, member] of [gateway, ...nodes].entries()) {
    const joins = member.seen
      .slice(before[i])
      .filter((e) => e.tag === "CLUSTER" && /confirmed/.test(e.message));
    assert.ok(joins.length <= 2, `${member.name} joined ${joins.length} times`);
  }
  assert.equal(await answer(url), expected);
});

async function answer(url: string): Promise<string> {
  return (await complete(url, PROMPT, 12)).text;
}
