/**
 * How fast do contents travel, as against a plain copy? Two processes on loopback, each with a thread as a node has it, one transport at a
 * time, pairs one after the other: the same bytes over one FrameStream in frames of 256 KiB, from memory to nowhere and from file to
 * file, synced; and as a content: asked for piece by piece, verified, written, synced, renamed. CPU seconds are those of the whole process.
 *
 *     npm exec -c 'node bench/transfer.ts --mib 512 --pairs 5 --transport QUIC,TCP'
 *
 * Beside them webtorrent from npm moves the same file (TCP on loopback, one peer), if it is told where it was installed:
 *
 *     mkdir /tmp/other && cd /tmp/other        # 2.8.5 does not start with the newest uint8-util
 *     echo '{"dependencies":{"webtorrent":"2.8.5"},"overrides":{"uint8-util":"2.2.5"}}' > package.json && npm install --ignore-scripts
 *     npm exec -c 'node bench/transfer.ts --webtorrent /tmp/other'
 */
import { randomFillSync } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { withDeadline } from "../src/lib/index.ts";
import { Side } from "../test/support/side.ts";
import { median, report, round } from "./support.ts";
import type { Order, Remote } from "./transfer-side.ts";
import type { WebtorrentOrder } from "./webtorrent-side.ts";

const GIB = 2 ** 30;
const LISTEN: Readonly<Record<string, string>> = {
  QUIC: "/ip4/127.0.0.1/udp/0/quic-v1",
  TCP: "/ip4/127.0.0.1/tcp/0",
};

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "512" },
    pairs: { type: "string", default: "5" },
    transport: { type: "string", default: "QUIC,TCP" },
    webtorrent: { type: "string" },
  },
});
const sizeBytes = Number(values.mib) * 2 ** 20;

interface Cost {
  mbps: number;
  /** CPU seconds per GiB. */
  send: number;
  receive: number;
}

const folder = await mkdtemp(join(tmpdir(), "shoal-bench-"));
try {
  const path = join(folder, "original");
  await writeContent(path);
  for (const transport of values.transport.split(","))
    await bench(transport, path);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function bench(transport: string, original: string): Promise<void> {
  const program = new URL("transfer-side.ts", import.meta.url);
  const [sender, receiver] = [
    new Side<Order>(program),
    new Side<Order>(program),
  ];
  const start = (side: Side<Order>, name: string): Promise<Remote> =>
    side.do({
      op: "start",
      listen: [LISTEN[transport] ?? ""],
      stateDir: join(folder, transport, name),
    });
  const [remote] = [
    await start(sender, "sender"),
    await start(receiver, "receiver"),
  ];
  const root = await sender.do<string>({
    op: "seed",
    from: original,
    path: join(folder, transport, "seeded"),
  });
  const path = join(folder, "received");
  const ways = {
    memory: { op: "copy", remote, sizeBytes, path: undefined },
    file: { op: "copy", remote, sizeBytes, path },
    content: { op: "download", remote, root, path: `${path}-content` },
  } as const;
  const costs: Record<keyof typeof ways, Cost[]> = {
    memory: [],
    file: [],
    content: [],
  };
  const other = await webtorrents(original).catch((error: unknown) => {
    process.stderr.write(`webtorrent does not run here: ${String(error)}\n`);
    return undefined;
  });
  // Not counted: the compilers see the code.
  for (const order of Object.values(ways)) {
    await receiver.do(order);
    await receiver.do({ op: "clean", path: order.path ?? path });
  }
  for (let i = 0; i < Number(values.pairs); i++) {
    for (const name of ["memory", "content", "file"] as const)
      costs[name].push(await timed(sender, receiver, ways[name]));
    await other?.run();
  }
  const of = (name: keyof typeof ways, what: keyof Cost): number =>
    round(median(costs[name].map((cost) => cost[what])));
  const ratios = (name: keyof typeof ways): number[] =>
    costs.content.map(({ mbps }, i) =>
      round(mbps / (costs[name][i]?.mbps ?? Number.NaN)),
    );
  report({
    bench: "transfer",
    transport,
    sizeBytes,
    pairs: costs.content.length,
    ratioToCopy: median(ratios("memory")),
    ratioToFileCopy: median(ratios("file")),
    ratiosToCopy: ratios("memory"),
    ratiosToFileCopy: ratios("file"),
    contentMBps: of("content", "mbps"),
    copyMBps: of("memory", "mbps"),
    fileCopyMBps: of("file", "mbps"),
    cpuSecondsPerGiB: {
      content: {
        send: of("content", "send"),
        receive: of("content", "receive"),
      },
      copy: { send: of("memory", "send"), receive: of("memory", "receive") },
      fileCopy: { send: of("file", "send"), receive: of("file", "receive") },
    },
    maxRssMb: { sender: await rss(sender), receiver: await rss(receiver) },
    ...other?.result(of("content", "mbps")),
  });
  await Promise.all([sender.stop(), receiver.stop(), other?.stop()]);
}

/** webtorrent on the same file; undefined where it was not asked for. */
async function webtorrents(original: string): Promise<
  | {
      run: () => Promise<void>;
      result: (contentMBps: number) => Record<string, unknown>;
      stop: () => Promise<void>;
    }
  | undefined
> {
  if (values.webtorrent === undefined) return undefined;
  const program = new URL("webtorrent-side.ts", import.meta.url);
  const [seeder, getter] = [
    new Side<WebtorrentOrder>(program),
    new Side<WebtorrentOrder>(program),
  ];
  for (const side of [seeder, getter])
    await side.do({ op: "start", folder: values.webtorrent });
  const seeded = await seeder.do<{ torrent: string; port: number }>({
    op: "seed",
    path: original,
  });
  const path = join(folder, "webtorrent");
  const costs: Cost[] = [];
  const other = {
    run: async (): Promise<void> => {
      const before = [await cpu(seeder), await cpu(getter)] as const;
      const tookMs = await getter.do<number>({
        op: "download",
        ...seeded,
        path,
      });
      const perGiB = GIB / sizeBytes;
      costs.push({
        mbps: sizeBytes / 1000 / tookMs,
        send: ((await cpu(seeder)) - before[0]) * perGiB,
        receive: ((await cpu(getter)) - before[1]) * perGiB,
      });
    },
    result: (contentMBps: number): Record<string, unknown> => {
      const counted = costs.slice(1); // the first was not
      const of = (what: keyof Cost): number =>
        round(median(counted.map((cost) => cost[what])));
      return {
        webtorrentMBps: of("mbps"),
        ratioToWebtorrent: round(contentMBps / of("mbps")),
        webtorrentCpuSecondsPerGiB: {
          send: of("send"),
          receive: of("receive"),
        },
      };
    },
    stop: async (): Promise<void> => {
      await Promise.all([seeder.stop(), getter.stop()]);
    },
  };
  // Not counted. Where it does not start or its peers do not speak, the bench goes on without it.
  await withDeadline(60_000, "webtorrent", () => other.run()).catch(
    async (error: unknown) => {
      await other.stop();
      throw error;
    },
  );
  return other;
}

async function timed(
  sender: Side<Order>,
  receiver: Side<Order>,
  order: Order,
): Promise<Cost> {
  const before = [await cpu(sender), await cpu(receiver)] as const;
  const tookMs = await receiver.do<number>(order);
  const perGiB = GIB / sizeBytes;
  const cost = {
    mbps: sizeBytes / 1000 / tookMs,
    send: ((await cpu(sender)) - before[0]) * perGiB,
    receive: ((await cpu(receiver)) - before[1]) * perGiB,
  };
  const { path = "" } = order as { path?: string };
  await receiver.do({ op: "clean", path });
  return cost;
}

async function rss(side: Side<Order>): Promise<number> {
  return Math.round((await side.do<{ rssMb: number }>({ op: "cpu" })).rssMb);
}

async function cpu<O>(side: Side<O | { op: "cpu" }>): Promise<number> {
  return (await side.do<{ seconds: number }>({ op: "cpu" })).seconds;
}

async function writeContent(path: string): Promise<void> {
  await using file = await open(path, "w");
  const chunk = new Uint8Array(2 ** 20);
  for (let at = 0; at < sizeBytes; at += chunk.length)
    await file.write(
      randomFillSync(chunk),
      0,
      Math.min(chunk.length, sizeBytes - at),
    );
}
