/** One side of bench/tokens.ts: a node's main thread echoes what tokens would be, and has a transfer beside it. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Events, sleep } from "../src/lib/index.ts";
import {
  createHost,
  type FrameStream,
  type PeerTarget,
} from "../src/network/index.ts";
import { TransferThread, type Transfer } from "../src/transfer/index.ts";
import { LocalTransfer } from "../src/transfer/transfer.ts";
import { beginDownload, type Bulk, seedBulk } from "./bulk.ts";
import { takeOrders } from "../test/support/side.ts";

export type Order =
  | { op: "start"; listen: string; folder: string; thread: boolean }
  | { op: "seed"; layers: number }
  | { op: "measure"; echo: PeerTarget; count: number }
  | { op: "download"; bulk: Bulk }
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

takeOrders(perform);

async function perform(order: Order): Promise<unknown> {
  switch (order.op) {
    case "start":
      return await start(order);
    case "seed":
      return await seedBulk(transfer, join(folder, "models"), order.layers);
    case "measure":
      return await measure(order.echo, order.count);
    case "download":
      return await begin(order.bulk);
    default:
      return await download;
  }
}

/** Gives where tokens are echoed. */
async function start(
  order: Extract<Order, { op: "start" }>,
): Promise<PeerTarget> {
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
  return { peerId: host.peerId, addresses: host.addresses() };
}

async function begin(bulk: Bulk): Promise<void> {
  isDownloading = true;
  const { mbps } = await beginDownload(
    transfer,
    bulk,
    join(folder, "received"),
  );
  download = mbps.finally(() => {
    isDownloading = false;
  });
}

/** Round trips of a token, ms; while a download runs, only those during it. */
async function measure(echo: PeerTarget, count: number): Promise<number[]> {
  const stream = await host.openStream(echo, PROTOCOL, {
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
