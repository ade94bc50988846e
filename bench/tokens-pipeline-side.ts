/** One node of bench/tokens-pipeline.ts: a shard node as `shoal node` runs it, and a transfer thread as it has one. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Events, resolvePaths, ShoalError } from "../src/lib/index.ts";
import { parseListen } from "../src/network/index.ts";
import { startNode } from "../src/roles/index.ts";
import { TransferThread } from "../src/torrent/index.ts";
import { writeRandomModel } from "../test/support/models.ts";

export interface Content {
  root: string;
  sizeBytes: number;
  peer: string;
  addresses: string[];
}

export type Order =
  | {
      op: "start";
      folder: string;
      modelDir: string;
      bootstrap: string;
      shard: { index: number; count: number };
    }
  | { op: "seed"; layers: number }
  | { op: "download"; content: Content }
  | { op: "done" };

const listen = parseListen("127.0.0.1:0");
const signal = new AbortController().signal;
const events = new Events();
let folder = "";
let transfer: TransferThread;
let download: Promise<number> = Promise.resolve(0);

process.on("disconnect", () => process.exit());
process.on("message", (order: Order) => {
  perform(order).then(
    (value) => process.send?.({ value }),
    (error: unknown) =>
      process.send?.({ error: ShoalError.from(error).message }),
  );
});

async function perform(order: Order): Promise<unknown> {
  switch (order.op) {
    case "start":
      return await start(order);
    case "seed":
      return await seed(order.layers);
    case "download":
      return await begin(order.content);
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

async function seed(layers: number): Promise<Content> {
  await writeRandomModel(join(folder, "bulk", "bulk.gguf"), {
    layers,
    embeddingLength: 2048,
    feedForward: 8192,
  });
  await transfer.index();
  const whole = transfer.list().find(({ name }) => name === "bulk.gguf");
  if (whole === undefined) throw new Error("no content");
  const { root, sizeBytes } = whole.metadata;
  return { root, sizeBytes, ...transfer.endpoint() };
}

/** Resolves when the first bytes are here. */
async function begin(content: Content): Promise<void> {
  const { root, sizeBytes, peer, addresses } = content;
  const startMs = performance.now();
  const started = Promise.withResolvers<void>();
  download = transfer
    .download({
      root,
      sizeBytes,
      path: join(folder, "received"),
      name: "bulk",
      kind: "file",
      sources: [{ kind: "peer", peerId: peer, addresses }],
      onProgress: ({ doneBytes }) => {
        if (doneBytes > 0) started.resolve();
      },
    })
    .then(() => sizeBytes / 1000 / (performance.now() - startMs));
  await started.promise;
}
