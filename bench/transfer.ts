/**
 * How fast do contents travel, as against a plain copy? Two processes on loopback, one transport at a time, pairs one after the other: the
 * same bytes over one FrameStream in frames of 256 KiB from memory to nowhere, the same from file to file, and as a content: asked for
 * piece by piece, verified, written. CPU seconds per GiB are those of the whole process, on both sides.
 *
 *     npm exec -c 'node bench/transfer.ts --mib 512 --pairs 5 --transport QUIC,TCP'
 */
import { fork } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Events } from "../src/lib/index.ts";
import { createHost, type Host } from "../src/network/index.ts";
import { Downloads } from "../src/torrent/download.ts";
import { median, report, round } from "./support.ts";
import { FileStore } from "./transfer-store.ts";

const COPY_PROTOCOL = "/shoal/bench-copy/1";
const FRAME_BYTES = 256 * 1024;
const GIB = 2 ** 30;

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "512" },
    pairs: { type: "string", default: "5" },
    transport: { type: "string", default: "QUIC,TCP" },
    ways: { type: "string", default: "memory,file,content" },
  },
});
const sizeBytes = Number(values.mib) * 2 ** 20;

interface Seeder {
  peerId: string;
  addresses: string[];
  root: string;
  cpuS: () => Promise<number>;
  stop: () => Promise<void>;
}

interface Cost {
  mbps: number;
  sendS: number;
  receiveS: number;
}

const folder = await mkdtemp(join(tmpdir(), "shoal-bench-"));
try {
  const path = join(folder, "content");
  await writeContent(path);
  for (const transport of values.transport.split(",")) {
    await bench(transport, path);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(0);

async function bench(transport: string, path: string): Promise<void> {
  const seeder = await startSeeder(path, transport);
  const host = await createHost({ listen: [] });
  await host.start();
  await host.connect(seeder);
  const ways = {
    memory: () => copy(host, seeder, undefined),
    file: () => copy(host, seeder, join(folder, "copy")),
    content: () => download(host, seeder),
  };
  const wanted = new Set(values.ways.split(","));
  const costs: Record<keyof typeof ways, Cost[]> = {
    memory: [],
    file: [],
    content: [],
  };
  // Not counted: the compilers see the code.
  for (const [name, way] of Object.entries(ways))
    if (wanted.has(name)) await way();
  for (let i = 0; i < Number(values.pairs); i++) {
    for (const [name, way] of Object.entries(ways)) {
      if (!wanted.has(name)) continue;
      costs[name as keyof typeof ways].push(await timed(seeder, way));
    }
  }
  const of = (name: keyof typeof ways, what: keyof Cost): number =>
    round(median(costs[name].map((cost) => cost[what])));
  const ratio = (name: keyof typeof ways): number =>
    round(
      median(costs.content.map((c, i) => c.mbps / (costs[name][i]?.mbps ?? 0))),
    );
  report({
    bench: "transfer",
    transport,
    sizeBytes,
    pairs: costs.content.length,
    ratioToCopy: ratio("memory"),
    ratioToFileCopy: ratio("file"),
    contentMBps: of("content", "mbps"),
    copyMBps: of("memory", "mbps"),
    fileCopyMBps: of("file", "mbps"),
    cpuSecondsPerGiB: Object.fromEntries(
      Object.keys(ways).map((name) => [
        name,
        {
          send: of(name as keyof typeof ways, "sendS"),
          receive: of(name as keyof typeof ways, "receiveS"),
        },
      ]),
    ),
  });
  await host.stop();
  await seeder.stop();
}

async function timed(seeder: Seeder, way: () => Promise<void>): Promise<Cost> {
  const sendBefore = await seeder.cpuS();
  const before = process.cpuUsage();
  const startMs = performance.now();
  await way();
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  const perGiB = GIB / sizeBytes;
  return {
    mbps: sizeBytes / 1e6 / seconds,
    sendS: ((await seeder.cpuS()) - sendBefore) * perGiB,
    receiveS: ((user + system) / 1e6) * perGiB,
  };
}

async function copy(
  host: Host,
  seeder: Seeder,
  path: string | undefined,
): Promise<void> {
  const stream = await host.openStream(seeder, COPY_PROTOCOL, {
    maxFrameBytes: FRAME_BYTES,
  });
  const file = path === undefined ? undefined : await open(path, "w");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const writes = new Set<Promise<unknown>>();
  let received = 0;
  stream.onClose((error) => reject(error ?? new Error("it ended early")));
  stream.onFrame((frame) => {
    const write = file?.write(frame, 0, frame.length, received);
    received += frame.length;
    if (write !== undefined) {
      writes.add(write);
      write.then(() => writes.delete(write), reject);
    }
    if (received >= sizeBytes) resolve();
  });
  void stream.send(Uint8Array.of(path === undefined ? 0 : 1));
  await promise;
  await Promise.all(writes);
  await stream.close();
  await file?.close();
}

async function download(host: Host, seeder: Seeder): Promise<void> {
  const store = new FileStore();
  const downloads = new Downloads({ host, store, events: new Events() });
  await downloads.download({
    root: seeder.root,
    sizeBytes,
    path: join(folder, "downloaded"),
    name: "bench",
    kind: "file",
    sources: [{ kind: "peer", ...seeder }],
  });
  await downloads.stop();
  await store.remove(seeder.root);
}

async function startSeeder(path: string, transport: string): Promise<Seeder> {
  const child = fork(new URL("transfer-peer.ts", import.meta.url), [
    path,
    transport,
  ]);
  process.once("exit", () => child.kill());
  const [about] = (await once(child, "message")) as [Omit<Seeder, "cpuS">];
  return {
    ...about,
    cpuS: async () => {
      child.send("cpu");
      const [{ cpuS }] = (await once(child, "message")) as [{ cpuS: number }];
      return cpuS;
    },
    stop: async () => {
      const gone = once(child, "exit");
      child.kill();
      await gone;
    },
  };
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
