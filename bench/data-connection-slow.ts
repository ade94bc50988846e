/**
 * A data connection (TCP) against libp2p's QUIC and TCP streams over a slow link that loses packets: half a round trip with 3 ms of work between,
 * beyond the work, in ms. Each way the link takes --one-way ms. Needs root, for network namespaces.
 *
 *     npm exec -c 'node bench/data-connection-slow.ts --one-way 20 --loss 0,0.01'
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TestNetwork, type Place } from "../test/support/namespaces.ts";
import type { HopTimes } from "./data-connection-side.ts";
import { median, report, round } from "./support.ts";

type Times = Pick<HopTimes, "hop" | "hopMean" | "hopP95">;

const { values } = parseArgs({
  options: {
    "one-way": { type: "string", default: "20" },
    loss: { type: "string", default: "0,0.01" },
    bytes: { type: "string", default: "4096,16384" },
    rounds: { type: "string", default: "100" },
    pairs: { type: "string", default: "3" },
  },
});
const list = (text: string): number[] => text.split(",").map(Number);
const side = join(import.meta.dirname, "data-connection-side.ts");
const libp2pSide = join(import.meta.dirname, "data-connection-libp2p.ts");
const oneWayMs = Number(values["one-way"]);

await using network = await TestNetwork.create();
const [here, there] = [await network.place(), await network.place()];
for (const loss of list(values.loss)) {
  const heal = await network.slow([here], [there], {
    oneWayMs,
    loss,
    seed: 13,
  });
  for (const bytes of list(values.bytes)) await compare(bytes, loss);
  await heal();
}

async function compare(bytes: number, loss: number): Promise<void> {
  const hop = JSON.stringify({
    bytes,
    encrypts: true,
    spinUs: 0,
    workUs: 3_000,
    touchBytes: 0,
    rounds: Number(values.rounds),
  });
  const { address } = there;
  const data: Times[] = [];
  const quic: Times[] = [];
  const tcp: Times[] = [];
  for (let i = 0; i < Number(values.pairs); i++) {
    data.push(await timesOf(side, hop, [], (port) => [String(port), address]));
    for (const [runs, protocol] of [
      [quic, "udp/0/quic-v1"],
      [tcp, "tcp/0"],
    ] as const) {
      const listen = `/ip4/${address}/${protocol}`;
      runs.push(await timesOf(libp2pSide, hop, [listen], asJson));
    }
  }
  report({
    bench: "data-connection-slow",
    bytes,
    oneWayMs,
    loss,
    dataConnectionMs: medians(data),
    libp2pQuicMs: medians(quic),
    libp2pTcpMs: medians(tcp),
  });
}

async function timesOf(
  program: string,
  hop: string,
  listen: string[],
  where: (target: unknown) => string[],
): Promise<Times> {
  const answers = within(there, program, ["answer", hop, ...listen]);
  const answersEnded = once(answers, "exit");
  const [target] = (await once(answers, "message")) as [unknown];
  const asks = within(here, program, ["ask", hop, ...where(target)]);
  const asksEnded = once(asks, "exit");
  const [times] = (await once(asks, "message")) as [Times];
  if (program === libp2pSide) answers.send("stop");
  await Promise.all([answersEnded, asksEnded]);
  return times;
}

function asJson(target: unknown): string[] {
  return [JSON.stringify(target)];
}

function within(
  place: Place,
  program: string,
  args: string[],
): ReturnType<typeof fork> {
  const { execPath = process.execPath, execArgv = [] } = place.within;
  return fork(program, args, { execPath, execArgv });
}

function medians(runs: Times[]): Times {
  const of = (key: keyof Times): number =>
    round(median(runs.map((run) => run[key])) / 1e3, 1);
  return { hop: of("hop"), hopMean: of("hopMean"), hopP95: of("hopP95") };
}
