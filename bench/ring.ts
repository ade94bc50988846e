/**
 * TCP or QUIC for the data between two engines, on near and far links, with and without loss? Two swarms of two nodes beside each other, each member
 * in a network namespace of its own: in one the engines send to each other over their data connection (TCP), in the other all goes through the
 * nodes (`--data-port off`), which is libp2p over QUIC. Greedy replies in pairs; a hop is half of what a token takes beyond both stages' compute.
 * Rows of 4 and 16 KiB. Needs root. What encryption costs is measured by `bench/data-connection.ts`.
 *
 *     npm run build && npm exec -c 'node bench/ring.ts --pairs 5'
 */
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitModel } from "../src/model/index.ts";
import { type Far, startFar, stream } from "../test/support/far.ts";
import { Members } from "../test/support/member.ts";
import { writeRandomModel } from "../test/support/models.ts";
import {
  type SlowLink,
  slowLinksMissing,
  TestNetwork,
} from "../test/support/namespaces.ts";
import { median, quantile, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "5" },
    tokens: { type: "string", default: "60" },
    widths: { type: "string", default: "1024,4096" },
  },
});
const pairs = Number(values.pairs);
const tokens = Number(values.tokens);
const STAGES = 2;
const LINKS: readonly (SlowLink | undefined)[] = [
  undefined,
  { oneWayMs: 0, loss: 0.01 },
  { oneWayMs: 20 },
  { oneWayMs: 20, loss: 0.01 },
];

if (slowLinksMissing !== false) throw new Error(slowLinksMissing);
for (const width of values.widths.split(",").map(Number)) await bench(width);

async function bench(width: number): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  try {
    const members = await Members.of({ after: (fn) => void undo.push(fn) });
    const network = await TestNetwork.create();
    undo.push(() => network[Symbol.asyncDispose]());
    const model = join(members.home, "model.gguf");
    await writeRandomModel(model, {
      layers: 2,
      embeddingLength: width,
      heads: width / 64,
      kvHeads: 4,
      feedForward: 1024,
      vocabSize: 512,
      type: "Q8_0",
      vocab: "bytes",
    });
    const dir = join(members.home, "shards");
    await splitModel({ path: model, shards: STAGES, outDir: dir });
    const start = (nodeFlags: string[]): Promise<Far> =>
      startFar({
        network,
        members,
        dir,
        shards: [0, 1],
        stages: STAGES,
        nodeFlags,
      });
    const direct = await start([]);
    const relayed = await start(["--data-port", "off"]);
    for (const link of LINKS) {
      const ends = [];
      if (link !== undefined)
        for (const { nodes } of [direct, relayed]) {
          const [one, other] = nodes.map(({ place }) => [place]);
          ends.push(await network.slow(one ?? [], other ?? [], link));
        }
      await compare(width, link, direct, relayed);
      for (const end of ends) await end();
    }
  } finally {
    for (const end of undo.reverse()) await end();
  }
}

async function compare(
  width: number,
  { oneWayMs, loss = 0 }: SlowLink = { oneWayMs: 0 },
  direct: Far,
  relayed: Far,
): Promise<void> {
  const [load = 0] = loadavg();
  const [tcp, quic]: [number[][], number[][]] = [[], []];
  await hopsOf(direct, true);
  await hopsOf(relayed, false);
  for (let i = 0; i < pairs; i++) {
    tcp.push(await hopsOf(direct, true));
    quic.push(await hopsOf(relayed, false));
  }
  report({
    bench: "ring",
    rowBytes: width * 4,
    oneWayMs,
    loss,
    pairs,
    tokens,
    load: round(load, 1),
    tcpHopMs: medians(tcp),
    quicHopMs: medians(quic),
    tcpMeanMs: mean(tcp),
    quicMeanMs: mean(quic),
    tcpP90Ms: tail(tcp, 0.9),
    quicP90Ms: tail(quic, 0.9),
    tcpP99Ms: tail(tcp, 0.99),
    quicP99Ms: tail(quic, 0.99),
  });
}

function medians(runs: number[][]): number {
  return round(median(runs.map(median)), 2);
}

function mean(runs: number[][]): number {
  const all = runs.flat();
  return round(all.reduce((a, b) => a + b, 0) / all.length, 2);
}

function tail(runs: number[][], part: number): number {
  return round(quantile(runs.flat(), part), 2);
}

/** Of each token of a reply: what a hop takes, in ms. */
async function hopsOf(far: Far, isDirect: boolean): Promise<number[]> {
  const { gapsMs, session } = await stream(far, tokens);
  const { route } = session;
  if (route.some(({ direct }) => direct !== isDirect))
    throw new Error("the frames took another way");
  const computeMs = route.reduce((sum, hop) => sum + (hop.computeMs ?? 0), 0);
  return gapsMs.map((ms) => (ms - computeMs) / route.length);
}
