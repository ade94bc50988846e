/** A cluster's record names an HTTP origin: a node downloads from there what members do not send fast enough, verified in the same way. */
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { copyFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, join } from "node:path";
import { test } from "node:test";
import { Events, resolvePaths } from "../../src/lib/index.ts";
import { parseListen } from "../../src/network/index.ts";
import {
  startNode,
  startRendezvous,
  startSeeder,
} from "../../src/roles/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

const signal = new AbortController().signal;
const listen = parseListen("127.0.0.1:0");

test("a node fetches its layers from the origin by ranges", async (t) => {
  const home = await temporaryFolder(t);
  const { size } = await stat(DEMO_MODEL);
  let served = 0;
  const server = createServer((request, response) => {
    const [, from, to] =
      /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [];
    const [start, end] = [Number(from), Number(to)];
    served += end - start + 1;
    response.writeHead(206, {
      "content-range": `bytes ${start}-${end}/${size}`,
      "content-length": end - start + 1,
    });
    createReadStream(DEMO_MODEL, { start, end }).pipe(response);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");

  const context = (name: string) => ({
    events: new Events(),
    paths: resolvePaths(join(home, name)),
    signal,
  });
  const rendezvous = await startRendezvous(
    { listen, diagnostics: { host: "127.0.0.1", port: 0 } },
    context("rendezvous"),
  );
  t.after(() => rendezvous.stop());
  const common = {
    bootstraps: [rendezvous.info.addresses[0]!],
    cluster: "c",
    listen,
    bootstrapTimeoutMs: 30_000,
  };
  // Seeded at once, as after a download: a second ago it was not there.
  const model = join(home, basename(DEMO_MODEL));
  await copyFile(DEMO_MODEL, model);
  const seeder = await startSeeder(
    {
      ...common,
      model,
      shards: 4,
      origin: [`http://127.0.0.1:${address.port}/${basename(DEMO_MODEL)}`],
      uploadLimit: 20_000, // a slow uplink: the origin is the better source
    },
    context("seeder"),
  );
  t.after(() => seeder.stop());
  const node = await startNode(
    {
      ...common,
      shard: { layerStart: 2, layerEnd: 5 },
      sessions: 1,
      threads: 1,
      seed: true,
    },
    context("node"),
  );
  t.after(() => node.stop());
  assert.ok(served > 800_000, `${served} bytes came from the origin`);
});
