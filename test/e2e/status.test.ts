/**
 * The answers of a cluster of two nodes that started empty: greedy text, metrics, `shoal status`. The tests build on one another, in order;
 * the last one kills a node.
 */
import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { after, before, test } from "node:test";
import {
  clusterStatusSchema,
  nodeStatusSchema,
} from "../../src/status/index.ts";
import { type Run, shoal } from "../support/cli.ts";
import { assertDashboard } from "../support/dashboard.ts";
import { temporaryFolder } from "../support/folder.ts";
import { assertGreedy, CONTEXT_LENGTH } from "../support/greedy.ts";
import { DEMO_MODEL, startSwarm, type TestSwarm } from "../support/swarm.ts";

const READY = 0;
const NOT_READY = 3;
let swarm: TestSwarm;

before(async () => {
  const contextLength = CONTEXT_LENGTH;
  swarm = await startSwarm({ nodes: 2, fromSeeder: true, contextLength });
});
after(() => swarm.stop());

const status = (...args: string[]): Promise<Run> =>
  shoal(["status", "--timeout", "60", ...args]);
const overNetwork = (...args: string[]): Promise<Run> =>
  status("--bootstrap", swarm.bootstrap, "--cluster", swarm.cluster, ...args);

/** One where nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("the demo model's greedy text is llama.cpp's, token for token", () =>
  assertGreedy(DEMO_MODEL, swarm.apiUrl));

test("every metric of the Grafana dashboard is one of a running role", () =>
  assertDashboard(
    swarm.progress.flatMap((p) =>
      p.type === "ready" ? p.info.diagnosticsUrl! : [],
    ),
  ));

test("a member is asked over the network: the report, and exit code 0 if the cluster is ready", async () => {
  const run = await overNetwork();
  assert.equal(run.code, READY, run.stderr);
  assert.equal(run.stderr, "");
  assert.match(run.stdout, /^Cluster local: .*Demo/im);
  assert.match(
    run.stdout,
    /^ {2}Shards: +2 expected, 2 discovered, 2 loaded$/m,
  );
  assert.match(run.stdout, /^ {2}Pipeline complete: +✓ yes$/m);
  assert.match(run.stdout, /^ {2}Swarm ready: +✓ yes$/m);
  for (const [shard, layers] of ["0-3", "4-7"].entries())
    assert.match(
      run.stdout,
      new RegExp(
        `^  Shard ${shard}  layers ${layers}  ✓ ONLINE\\+LOADED  1 holder$`,
        "m",
      ),
    );
});

test("--ascii prints nothing beyond ASCII", async () => {
  const run = await overNetwork("--ascii");
  assert.equal(run.code, READY, run.stderr);
  assert.ok(Buffer.from(run.stdout).every((byte) => byte < 128));
  assert.match(run.stdout, /^ {2}Swarm ready: +\+ yes$/m);
});

test("a local role is asked over HTTP, and --json follows the schema", async () => {
  const run = await status("--url", swarm.statusUrl, "--json");
  assert.equal(run.code, READY, run.stderr);
  const { ready, node, cluster } = JSON.parse(run.stdout) as {
    ready: unknown;
    node: unknown;
    cluster: unknown;
  };
  assert.equal(ready, true);
  assert.equal(nodeStatusSchema.parse(node).role, "rendezvous");
  assert.deepEqual(
    clusterStatusSchema.parse(cluster).shards.map((shard) => shard.state),
    ["loaded", "loaded"],
  );
});

test("an unknown cluster and a dead address have their own exit codes", async (t) => {
  const unknown = await status(
    "--bootstrap",
    swarm.bootstrap,
    "--cluster",
    "strangers",
  );
  assert.match(unknown.stderr, /\(CLUSTER_UNKNOWN\)\n$/);
  assert.equal(unknown.code, 66);
  const home = await temporaryFolder(t);
  const nobody = await shoal([
    "status",
    "--home",
    home,
    "--url",
    `http://127.0.0.1:${await freePort()}`,
  ]);
  assert.match(nobody.stderr, /ECONNREFUSED.*\(DIAL_FAILED\)\n$/);
  assert.equal(nobody.code, 69);
  const which = await status("--bootstrap", swarm.bootstrap);
  assert.match(which.stderr, /--cluster is needed.*\(USAGE\)\n$/);
  assert.equal(which.code, 64);
});

test("a node is killed: the exit code is 3, and the report names the missing shard", async () => {
  process.kill(swarm.pidOf("node 1"), "SIGKILL");
  // The rendezvous notices within seconds; each call asks anew.
  const giveUpAt = performance.now() + 60_000;
  let run = await overNetwork();
  while (run.code === READY && performance.now() < giveUpAt)
    run = await overNetwork();
  assert.equal(run.code, NOT_READY, run.stderr + run.stdout);
  assert.match(
    run.stdout,
    /^ {2}Swarm ready: +✗ no: shard 1 of 2 .*has no holder$/m,
  );
  assert.match(run.stdout, /^ {2}Shard 1  layers 4-7  ✗ OFFLINE$/m);
});
