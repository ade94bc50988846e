/** An engine that dies at every load is not tried for ever: its node gives the shard up, says why, and computes another, or ends. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ShoalEvent } from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import { givenUpPath, type NodeStatus } from "../../src/status/index.ts";
import { TestCluster } from "../support/cluster.ts";
import {
  childrenOf,
  memoryGroup,
  memoryGroupMissing,
} from "../support/halted.ts";
import type { Member } from "../support/member.ts";
import { DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const SHARDS = 2;
/** Less than an engine has before it has loaded anything. */
const LITTLE_BYTES = 24 * 1024 * 1024;
const EXIT_FAILED = 70;

const isGivenUp = ({ tag, fields }: ShoalEvent): boolean =>
  tag === "SHARD" && fields["code"] === "ENGINE_GIVEN_UP";

/** Kills the node's engine, and strikes each that it starts, until it gives up; what it says then. */
async function strikeEngines(
  node: Member,
  strike: (engine: number) => void,
): Promise<string> {
  const [first] = childrenOf(node.pid) as [number];
  const struck = new Set([first]);
  const timer = setInterval(() => {
    for (const engine of childrenOf(node.pid)) {
      if (struck.has(engine)) continue;
      struck.add(engine);
      strike(engine);
    }
  }, 2);
  try {
    process.kill(first, "SIGKILL");
    const { message } = await node.when(isGivenUp, "the node to give up");
    assert.ok(struck.size >= 9, `${struck.size} engines`);
    return message;
  } finally {
    clearInterval(timer);
  }
}

async function statusOf(node: Member): Promise<NodeStatus> {
  const { diagnosticsUrl } = await node.whenReady();
  const response = await fetch(`${diagnosticsUrl}/api/v1/status`, {
    signal: AbortSignal.timeout(60_000),
  });
  return (await response.json()) as NodeStatus;
}

test(
  "a node whose engine runs out of memory at each load takes another shard",
  { skip: memoryGroupMissing },
  async (t) => {
    const cluster = await TestCluster.start(t);
    cluster.start("seed", "seeder", [DEMO_MODEL, "--shards", `${SHARDS}`]);
    const nodes = [0, 1].map((i) =>
      cluster.start("node", `node-${i}`, [
        "--threads",
        "1",
        "--standby",
        "off",
        "--diagnostics-port",
        "0",
      ]),
    );
    await Promise.all(nodes.map((node) => node.whenReady()));
    const [node] = nodes as [Member];
    const [lost] = (await statusOf(node)).shards;
    using group = memoryGroup(LITTLE_BYTES);
    const why = await strikeEngines(node, (engine) => group.add(engine));
    assert.match(
      why,
      new RegExp(
        `^gives up shard ${lost!.index}/2 for 10 min 0 s: the engine failed 8 times in a row: the engine died \\(signal SIGKILL\\): .*want of memory`,
      ),
    );
    await until("the other shard", async () => {
      const [own] = (await statusOf(node)).shards;
      return own?.index === 1 - lost!.index && own.state === "ready";
    });
    const { ready, givenUp } = await statusOf(node);
    assert.ok(ready);
    assert.equal(givenUp[0]!.index, lost!.index);
    assert.match(givenUp[0]!.reason, /want of memory/);
    const kept = await readFile(
      givenUpPath(join(cluster.homeOf("node-0"), "state")),
      "utf8",
    );
    assert.match(kept, /want of memory/);
    // The other one takes what was given up.
    await until("a whole cluster", async () => {
      const { shards } = await statusOf(nodes[1]!);
      return shards.some((s) => s.index === lost!.index && s.state === "ready");
    });
  },
);

test("a node that was told its shard ends with the reason", async (t) => {
  const cluster = await TestCluster.start(t);
  const dir = join(cluster.members.home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
  const node = cluster.start("node", "node", [
    "--shard",
    `1/${SHARDS}`,
    "--model-dir",
    dir,
    "--no-seed",
    "--threads",
    "1",
  ]);
  await node.whenReady();
  const why = await strikeEngines(node, (engine) =>
    process.kill(engine, "SIGKILL"),
  );
  assert.match(
    why,
    /^gives up shard 1\/2 .*the engine failed 8 times in a row/,
  );
  assert.equal(await node.exited, EXIT_FAILED);
});
