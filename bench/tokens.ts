/**
 * What does bulk cost a token? Two nodes on loopback; one token's activations (16 KiB) go there and back every 10 ms: while nothing else
 * happens, and while one node downloads a model from the other as fast as it can; with the transfers in threads of their own, and in the
 * thread that carries the tokens.
 *
 *     npm exec -c 'node bench/tokens.ts --layers 4 --transport QUIC,TCP'      # 240 MiB a layer
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { PeerTarget } from "../src/network/index.ts";
import type { Bulk } from "./bulk.ts";
import { Side } from "../test/support/side.ts";
import { median, quantile, report, round } from "./support.ts";
import type { Order } from "./tokens-side.ts";

const LISTEN: Readonly<Record<string, string>> = {
  QUIC: "/ip4/127.0.0.1/udp/0/quic-v1",
  TCP: "/ip4/127.0.0.1/tcp/0",
};

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: "4" },
    tokens: { type: "string", default: "300" },
    transport: { type: "string", default: "QUIC,TCP" },
    where: { type: "string", default: "thread,main" },
  },
});

for (const transport of values.transport.split(",")) {
  for (const where of values.where.split(",")) {
    const folder = await mkdtemp(join(tmpdir(), "shoal-bench-"));
    try {
      await bench(transport, where === "thread", folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

async function bench(
  transport: string,
  thread: boolean,
  folder: string,
): Promise<void> {
  const program = new URL("tokens-side.ts", import.meta.url);
  const [seeder, node] = [new Side<Order>(program), new Side<Order>(program)];
  const listen = LISTEN[transport] ?? "";
  const start = (side: Side<Order>, name: string): Promise<PeerTarget> =>
    side.do({ op: "start", listen, folder: join(folder, name), thread });
  const echo = await start(seeder, "seeder");
  await start(node, "node");
  const layers = Number(values.layers);
  const bulk = await seeder.do<Bulk>({ op: "seed", layers });
  const count = Number(values.tokens);
  const measure = (): Promise<number[]> =>
    node.do<number[]>({ op: "measure", echo, count });
  await measure();
  const idle = await measure();
  await node.do({ op: "download", bulk });
  const busy = await measure();
  const mbps = await node.do<number>({ op: "done" });
  const idleAgain = await measure();
  const quiet = [...idle, ...idleAgain];
  report({
    bench: "tokens",
    transport,
    transfers: thread ? "in threads" : "in the main thread",
    tokensDuringBulk: busy.length,
    idleP50Ms: round(median(quiet)),
    bulkP50Ms: round(median(busy)),
    ratio: round(median(busy) / median(quiet)),
    idleP99Ms: round(quantile(quiet, 0.99)),
    bulkP99Ms: round(quantile(busy, 0.99)),
    bulkMBps: round(mbps, 1),
  });
  await Promise.all([seeder.stop(), node.stop()]);
}
