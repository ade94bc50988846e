/** One side of bench/tokens.ts: a node's main thread echoes what tokens would be, and has a transfer beside it. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Events, ShoalError, sleep } from "../src/lib/index.ts";
import { createHost, type FrameStream } from "../src/network/index.ts";
import { TransferThread } from "../src/torrent/transfer-thread.ts";
import { LocalTransfer, type Transfer } from "../src/torrent/transfer.ts";
import { writeRandomModel } from "../test/support/models.ts";

export interface Ends {
  tokens: { peerId: string; addresses: string[] };
  transfer: { peerId: string; addresses: string[] };
}

export type Order =
  | { op: "start"; listen: string; folder: string; thread: boolean }
  | { op: "seed"; layers: number }
  | { op: "measure"; ends: Ends; count: number }
  | { op: "download"; ends: Ends; root: string; sizeBytes: number }
  | { op: "done" };

const PROTOCOL = "/shoal/bench-echo/1";
/** Activations of one token, 4096 × f32. */
const TOKEN_BYTES = 16 * 1024;
const GAP_MS = 10;

const events = new Events();
let host: Awaited<ReturnType<typeof createHost>>;
let transfer: Transfer;
let folder = "";
let download: Promise<unknown> = Promise.resolve();
let isDownloading = false;

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
    case "measure":
      return await measure(order.ends, order.count);
    case "download":
      return await begin(order);
    default:
      return await download;
  }
}

async function start(order: Extract<Order, { op: "start" }>): Promise<Ends> {
  ({ folder } = order);
  await mkdir(join(folder, "models"), { recursive: true });
  host = await createHost({ listen: [order.listen] });
  host.handleStreams(
    PROTOCOL,
    (stream) => stream.onFrame((frame) => stream.send(frame)),
    { maxFrameBytes: TOKEN_BYTES },
  );
  await host.start();
  const options = {
    host: { listen: [order.listen] },
    store: {
      directories: [join(folder, "models")],
      stateDir: join(folder, "state"),
      settleMs: 0,
    },
  };
  transfer = order.thread
    ? new TransferThread(options, events)
    : await LocalTransfer.create(options, events);
  await transfer.start();
  const { peer, addresses } = transfer.endpoint();
  return {
    tokens: { peerId: host.peerId, addresses: host.addresses() },
    transfer: { peerId: peer, addresses },
  };
}

async function seed(
  layers: number,
): Promise<{ root: string; sizeBytes: number }> {
  await writeRandomModel(join(folder, "models", "model.gguf"), {
    layers,
    embeddingLength: 2048,
    feedForward: 8192,
  });
  await transfer.index();
  const [largest] = transfer
    .list()
    .toSorted((a, b) => b.metadata.sizeBytes - a.metadata.sizeBytes);
  if (largest === undefined) throw new Error("no content");
  const { root, sizeBytes } = largest.metadata;
  return { root, sizeBytes };
}

async function begin(order: Extract<Order, { op: "download" }>): Promise<void> {
  const { root, sizeBytes, ends } = order;
  const startMs = performance.now();
  const started = Promise.withResolvers<void>();
  isDownloading = true;
  download = transfer
    .download({
      root,
      sizeBytes,
      path: join(folder, "received"),
      name: "model",
      kind: "file",
      sources: [{ kind: "peer", ...ends.transfer }],
      onProgress: ({ doneBytes }) => {
        if (doneBytes > 0) started.resolve();
      },
    })
    .then(() => sizeBytes / 1000 / (performance.now() - startMs))
    .finally(() => {
      isDownloading = false;
    });
  await started.promise;
}

/** Round trips of a token, ms; while a download runs, only those during it. */
async function measure(ends: Ends, count: number): Promise<number[]> {
  const stream = await host.openStream(ends.tokens, PROTOCOL, {
    maxFrameBytes: TOKEN_BYTES,
  });
  const wasDownloading = isDownloading;
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    times.push(await roundTrip(stream));
    if (wasDownloading !== isDownloading) break;
    await sleep(GAP_MS);
  }
  await stream.close();
  return times;
}

async function roundTrip(stream: FrameStream): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.onFrame(() => resolve());
  const startMs = performance.now();
  void stream.send(new Uint8Array(TOKEN_BYTES));
  await promise;
  return performance.now() - startMs;
}
