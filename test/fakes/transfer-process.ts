/**
 * The transfers of a node in a process of its own, as they ship: a main thread that waits, a thread that transfers, a store on disk. Takes
 * orders (test/support/side.ts) and tells how much memory the process has.
 */
import { existsSync, readFileSync } from "node:fs";
import { takeOrders } from "../support/side.ts";
import { Events } from "../../src/lib/index.ts";
import {
  type SourceSpec,
  TransferThread,
  type TransferStats,
} from "../../src/transfer/index.ts";
import type { TransferOptions } from "../../src/transfer/transfer.ts";

export type TransferOrder =
  /** Resolves with a PeerSpec once its folders are looked through. */
  | { op: "start"; options: TransferOptions }
  /** A Seeded[]. */
  | { op: "files" }
  /** A Memory, after so long without work. */
  | { op: "idle"; ms: number }
  /** A Fetched. */
  | { op: "download"; order: FetchOrder }
  /** TransferStats */
  | { op: "stats" };

export interface Seeded {
  root: string;
  name: string;
  sizeBytes: number;
}

export interface FetchOrder {
  root: string;
  sizeBytes: number | undefined;
  path: string;
  sources: SourceSpec[];
}

export interface Fetched {
  tookMs: number;
  /** Resident bytes of the whole process at their most. */
  mostBytes: number;
  stats: TransferStats;
}

const SAMPLE_MS = 20;

let transfer: TransferThread | undefined;

takeOrders(async (order: TransferOrder) => {
  if (order.op === "start") {
    transfer = new TransferThread(order.options, new Events());
    await transfer.start();
    await transfer.index();
    const { peer, addresses } = transfer.endpoint();
    return { kind: "peer", peerId: peer, addresses };
  }
  if (transfer === undefined) throw new Error("not started");
  switch (order.op) {
    case "files":
      return transfer
        .list()
        .filter(({ kind }) => kind === "file")
        .map(({ name, metadata: { root, sizeBytes } }) => ({
          root,
          name,
          sizeBytes,
        }));
    case "idle":
      await new Promise((resolve) => setTimeout(resolve, order.ms));
      return process.memoryUsage.rss();
    case "download":
      return await download(transfer, order.order);
    default:
      return await transfer.stats();
  }
});

async function download(
  node: TransferThread,
  { root, sizeBytes, path, sources }: FetchOrder,
): Promise<Fetched> {
  let mostBytes = process.memoryUsage.rss();
  // In the main thread, which has nothing else to do: no peak waits for the transfers to pause.
  const sampling = setInterval(() => {
    mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
  }, SAMPLE_MS);
  const startedMs = performance.now();
  try {
    await node.download({
      root,
      path,
      name: "model.gguf",
      kind: "file",
      sources,
      ...(sizeBytes !== undefined && { sizeBytes }),
    });
  } finally {
    clearInterval(sampling);
  }
  const tookMs = performance.now() - startedMs;
  mostBytes = Math.max(mostBytes, peakBytes());
  return { tookMs, mostBytes, stats: await node.stats() };
}

/** The kernel's own peak, where it tells: since the process began. */
function peakBytes(): number {
  const path = "/proc/self/status";
  if (!existsSync(path)) return 0;
  const [, kib = "0"] =
    /VmHWM:\s+(\d+) kB/.exec(readFileSync(path, "utf8")) ?? [];
  return Number(kib) * 1024;
}
