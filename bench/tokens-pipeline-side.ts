/** One node of bench/tokens-pipeline.ts: a shard node as `shoal node` runs it, and a transfer thread as it has one. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Events, resolvePaths } from "../src/lib/index.ts";
import { parseListen } from "../src/network/index.ts";
import { startNode } from "../src/roles/index.ts";
import { TransferThread } from "../src/transfer/index.ts";
import { beginDownload, type Bulk, seedBulk } from "./bulk.ts";
import { takeOrders } from "../test/support/side.ts";

export type Order =
  | {
      op: "start";
      folder: string;
      modelDir: string;
      bootstrap: string;
      shard: { index: number; count: number };
    }
  | { op: "seed"; layers: number }
  | { op: "download"; bulk: Bulk }
  | { op: "done" };

const listen = parseListen("127.0.0.1:0");
const signal = new AbortController().signal;
const events = new Events();
let folder = "";
let transfer: TransferThread;
let download: Promise<number> = Promise.resolve(0);

takeOrders(perform);

async function perform(order: Order): Promise<unknown> {
  switch (order.op) {
    case "start":
      return await start(order);
    case "seed":
      return await seedBulk(transfer, join(folder, "bulk"), order.layers);
    case "download":
      return await begin(order.bulk);
    default:
      return await download;
  }
}

async function start(order: Extract<Order, { op: "start" }>): Promise<void> {
  const { modelDir, shard, bootstrap } = order;
  ({ folder } = order);
  await startNode(
    {
      bootstraps: [bootstrap],
      cluster: "bench",
      shard,
      modelDir,
      listen,
      contextLength: 512,
      sessions: 1,
      threads: 1,
      bootstrapTimeoutMs: 30_000,
      seed: false,
    },
    { events, paths: resolvePaths(folder), signal },
  );
  const bulk = join(folder, "bulk");
  await mkdir(bulk, { recursive: true });
  transfer = new TransferThread(
    {
      host: { listen: ["/ip4/127.0.0.1/tcp/0"] },
      store: {
        directories: [bulk],
        stateDir: join(folder, "bulk-state"),
        settleMs: 0,
      },
    },
    events,
  );
  await transfer.start();
}

async function begin(bulk: Bulk): Promise<void> {
  const path = join(folder, "received");
  ({ mbps: download } = await beginDownload(transfer, bulk, path));
}
