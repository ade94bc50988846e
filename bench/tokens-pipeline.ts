/**
 * What does bulk cost a token of a real pipeline? Two shard nodes, each a process, hold one half of a model each and generate, asked over
 * HTTP as a client does; meanwhile one downloads a model from the other as fast as it can. Median time from token to token while the
 * transfer runs, against before and after it.
 *
 *     npm exec -c 'node bench/tokens-pipeline.ts --layers 8'      # 240 MiB of bulk a layer
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Events, resolvePaths } from "../src/lib/index.ts";
import { splitModel } from "../src/model/index.ts";
import { parseListen } from "../src/network/index.ts";
import { startGateway, startRendezvous } from "../src/roles/index.ts";
import type { Bulk } from "./bulk.ts";
import { arrivalsOf, writeBenchModel } from "./generation.ts";
import { Side } from "../test/support/side.ts";
import { median, quantile, report, round } from "./support.ts";
import type { Order } from "./tokens-pipeline-side.ts";

const NODES = 2;
/** Of one request. */
const TOKENS = 120;

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: "8" },
    requests: { type: "string", default: "3" },
  },
});

const folder = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const signal = new AbortController().signal;
const listen = parseListen("127.0.0.1:0");
const context = (name: string) => ({
  events: new Events(),
  paths: resolvePaths(join(folder, name)),
  signal,
});

try {
  await bench();
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit();

async function bench(): Promise<void> {
  const model = join(folder, "model.gguf");
  await writeBenchModel(model);
  const modelDir = join(folder, "shards");
  await splitModel({ path: model, shards: NODES, outDir: modelDir });
  await using stack = new AsyncDisposableStack();
  const rendezvous = await startRendezvous({ listen }, context("rendezvous"));
  stack.defer(() => rendezvous.stop());
  const [bootstrap = ""] = rendezvous.info.addresses;
  const program = new URL("tokens-pipeline-side.ts", import.meta.url);
  const sides = Array.from({ length: NODES }, () => new Side<Order>(program));
  for (const side of sides) stack.defer(() => side.stop());
  const ready = Promise.withResolvers<void>();
  const gateway = await startGateway(
    {
      bootstraps: [bootstrap],
      cluster: "bench",
      listen,
      apiHost: "127.0.0.1",
      apiPort: 0,
      bootstrapTimeoutMs: 30_000,
      onReady: (isReady) => isReady && ready.resolve(),
    },
    context("gateway"),
  );
  stack.defer(() => gateway.stop());
  for (const [index, side] of sides.entries()) {
    await side.do({
      op: "start",
      folder: join(folder, `node-${index}`),
      modelDir,
      bootstrap,
      shard: { index, count: NODES },
    });
  }
  await ready.promise;
  const { url = "" } = gateway.info;
  const [seeder, node] = sides;
  if (seeder === undefined || node === undefined) throw new Error("no nodes");
  const layers = Number(values.layers);
  const bulk = await seeder.do<Bulk>({ op: "seed", layers });

  await gaps(url); // not counted: everything is warm after it
  const quiet = await several(url);
  await node.do({ op: "download", bulk });
  const ended = new AbortController();
  const over = node.do<number>({ op: "done" }).finally(() => ended.abort());
  const busy: number[] = [];
  while (!ended.signal.aborted)
    busy.push(...(await gaps(url, () => ended.signal.aborted)));
  const mbps = await over;
  quiet.push(...(await several(url)));
  report({
    bench: "tokens-pipeline",
    nodes: NODES,
    bulkBytes: bulk.sizeBytes,
    bulkMBps: round(mbps, 1),
    tokensDuringBulk: busy.length,
    idleP50Ms: round(median(quiet)),
    bulkP50Ms: round(median(busy)),
    ratio: round(median(busy) / median(quiet)),
    idleP95Ms: round(quantile(quiet, 0.95)),
    bulkP95Ms: round(quantile(busy, 0.95)),
  });
}

async function several(url: string): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < Number(values.requests); i++)
    all.push(...(await gaps(url)));
  return all;
}

/** Milliseconds from token to token of one request, until `isOver`. */
async function gaps(
  url: string,
  isOver: () => boolean = () => false,
): Promise<number[]> {
  const times: number[] = [];
  let lastMs: number | undefined;
  for await (const nowMs of arrivalsOf(url, TOKENS)) {
    if (isOver()) continue; // the rest is no longer beside bulk
    if (lastMs !== undefined) times.push(nowMs - lastMs);
    lastMs = nowMs;
  }
  return times;
}
