import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createSocketServer } from "node:net";
import { test, type TestContext } from "node:test";
import {
  joined,
  shard,
  startRendezvous,
} from "../../test/support/memberships.ts";
import { makeHost } from "../../test/support/network.ts";
import {
  GET_NODE_STATUS,
  serveNodeCommands,
  SWARM_STATUS,
} from "../cluster/index.ts";
import { nodeStatusSchema } from "../status/index.ts";
import { createDiagnostics } from "./server.ts";
import { type ErrorCode, Events } from "../lib/index.ts";
import { Commands, type Host } from "../network/index.ts";
import { askMembers } from "./ask-members.ts";
import { askUrl } from "./ask-url.ts";
import {
  clusterStatus,
  nodeStatus,
  shardStatus,
} from "../../test/fakes/node-status.ts";

const WIDE_MS = 60_000;
const { signal } = new AbortController();
const swarm = clusterStatus(
  [shardStatus(0, "local"), shardStatus(1, "offline")],
  {
    reason: "shard 1 of 2 (layers 4-7) has no holder",
  },
);

async function serve(
  t: TestContext,
  listener: RequestListener,
): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("a role's page gives its status and its cluster's", async (t) => {
  const status = nodeStatus({ clusters: [swarm] });
  const diagnostics = createDiagnostics({
    host: "127.0.0.1",
    port: 0,
    events: new Events(),
  });
  const { url } = await diagnostics.start(() => status);
  t.after(() => diagnostics.stop());
  const asked = await askUrl({ url, timeoutMs: WIDE_MS, signal });
  assert.deepEqual(asked, { node: status, cluster: swarm });
  const named = await askUrl({
    url,
    cluster: "llama-cluster",
    timeoutMs: WIDE_MS,
    signal,
  });
  assert.deepEqual(named, asked);
  await assert.rejects(
    askUrl({ url, cluster: "other", timeoutMs: WIDE_MS, signal }),
    { code: "CLUSTER_UNKNOWN" },
  );
});

test("with several clusters one must be named", async (t) => {
  const second = { ...swarm, cluster: "second" };
  const status = nodeStatus({ role: "rendezvous", clusters: [swarm, second] });
  const url = await serve(t, (_, response) =>
    response.end(JSON.stringify(status)),
  );
  const asked = await askUrl({ url, timeoutMs: WIDE_MS, signal });
  assert.equal(asked.cluster, null);
  const named = await askUrl({
    url,
    cluster: "second",
    timeoutMs: WIDE_MS,
    signal,
  });
  assert.deepEqual(named.cluster, second);
});

const wrong: readonly [what: string, RequestListener, ErrorCode, RegExp][] = [
  [
    "not JSON",
    (_, response) => response.end("<html>"),
    "COMMAND_MALFORMED",
    /not JSON/,
  ],
  [
    "another shape",
    (_, response) => response.end(JSON.stringify({ ...nodeStatus(), peer: 7 })),
    "COMMAND_MALFORMED",
    /peer: /,
  ],
  [
    "an error",
    (_, response) => response.writeHead(404).end("{}"),
    "COMMAND_MALFORMED",
    /answers 404/,
  ],
  [
    "an oversized status",
    (_, response) => {
      const megabyte = Buffer.alloc(1024 * 1024, 32);
      const more = (): void => {
        while (!response.destroyed && response.write(megabyte));
      };
      response.on("drain", more).on("error", () => {});
      more();
    },
    "COMMAND_MALFORMED",
    /more than 8388608 bytes/,
  ],
];

for (const [what, listener, code, message] of wrong) {
  test(`an answer of ${what} is recognized`, async (t) => {
    const url = await serve(t, listener);
    await assert.rejects(askUrl({ url, timeoutMs: WIDE_MS, signal }), {
      code,
      message,
    });
  });
}

test("a server that accepts and never answers ends by the deadline", async (t) => {
  const url = await serve(t, () => {});
  await assert.rejects(askUrl({ url, timeoutMs: 50, signal }), {
    code: "DEADLINE",
  });
});

test("a closed port is reported", async () => {
  const server = createSocketServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const url = `http://127.0.0.1:${port}`;
  await assert.rejects(askUrl({ url, timeoutMs: WIDE_MS, signal }), {
    code: "DIAL_FAILED",
    message: `nothing answers at ${url}: ECONNREFUSED`,
  });
});

/** A rendezvous that knows one member, which holds the first of two shards. */
async function startCluster(
  t: TestContext,
  tellsOfItself: boolean,
): Promise<Host> {
  const { host, commands } = await startRendezvous(t);
  if (tellsOfItself) {
    serveNodeCommands({
      commands,
      role: "rendezvous",
      version: "0.1.0",
      status: () => nodeStatus({ role: "rendezvous", peer: host.peerId }),
    });
  }
  const { membership } = await joined(t, { host, commands });
  await membership.hold(shard(0));
  return host;
}

const ask = (
  targets: readonly string[],
  cluster = "friends",
  timeoutMs = WIDE_MS,
) => askMembers({ targets, cluster, events: new Events(), timeoutMs, signal });

for (const tellsOfItself of [true, false]) {
  test(`a member answers over the network, ${tellsOfItself ? "of itself and" : "if only"} of the cluster`, async (t) => {
    const host = await startCluster(t, tellsOfItself);
    const { node, cluster } = await ask(host.addresses());
    assert.equal(node?.peer, tellsOfItself ? host.peerId : undefined);
    if (node !== null) nodeStatusSchema.parse(node);
    assert.deepEqual(
      [
        cluster?.cluster,
        cluster?.ready,
        cluster?.missing,
        cluster?.shards.map((s) => s.loaded),
      ],
      ["friends", false, [1], [1, 0]],
    );
  });
}

test("one that is down does not hide the one that answers; an unknown cluster is named", async (t) => {
  const host = await startCluster(t, false);
  const gone = await makeHost(t);
  await gone.start();
  const [down = ""] = gone.addresses();
  await gone.stop();
  const [up = ""] = host.addresses();
  const { cluster } = await ask([down, up]);
  assert.equal(cluster?.cluster, "friends");
  await assert.rejects(ask([down, up], "strangers"), {
    code: "CLUSTER_UNKNOWN",
  });
  await assert.rejects(ask([down]), { code: "BOOTSTRAP_UNREACHABLE" });
});

test("a reached peer that does not answer ends by the deadline", async (t) => {
  const host = await makeHost(t);
  const commands = new Commands(host);
  for (const { name, params } of [SWARM_STATUS, GET_NODE_STATUS])
    commands.handle(name, params, () => new Promise(() => {}));
  await host.start();
  await assert.rejects(ask(host.addresses(), "friends", 3_000), {
    code: "DEADLINE",
  });
});
