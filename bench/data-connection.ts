/**
 * What does a hop over a data connection cost, as against the limit of this machine? Two processes send a frame back and forth, with work
 * between, as two engines do. The limit is a C program with blocking sockets (`hop-limit.c`, needs a compiler); each of its runs lies beside
 * one of ours. Half a round trip without the work, in µs, medians of pairs; on a busy machine the 10th percentile says more.
 *
 *     npm exec -c 'node bench/data-connection.ts --pairs 5'
 */
import {
  type ChildProcess,
  execFile,
  execFileSync,
  fork,
  spawn,
  type StdioOptions,
} from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import type { Hop, HopTimes } from "./data-connection-side.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "5" },
    rounds: { type: "string", default: "150" },
    bytes: { type: "string", default: "4096,16384" },
    spin: { type: "string", default: "0,50,200,1000,5000" },
    work: { type: "string", default: "3000" },
    touch: { type: "string", default: "0" },
    /** Also over libp2p streams, once for each number of bytes. */
    libp2p: { type: "boolean", default: false },
  },
});
const list = (text: string): number[] => text.split(",").map(Number);
const pairs = Number(values.pairs);
const side = join(import.meta.dirname, "data-connection-side.ts");
const libp2pSide = join(import.meta.dirname, "data-connection-libp2p.ts");
const LISTEN = {
  quic: "/ip4/127.0.0.1/udp/0/quic-v1",
  tcp: "/ip4/127.0.0.1/tcp/0",
};
const folder = mkdtempSync(join(tmpdir(), "shoal-bench-"));
const limit = join(folder, "hop-limit");
execFileSync("cc", [
  "-O2",
  "-o",
  limit,
  join(import.meta.dirname, "hop-limit.c"),
]);

try {
  for (const bytes of list(values.bytes)) {
    for (const spinUs of list(values.spin)) await compare(bytes, spinUs);
    if (values.libp2p) await compareLibp2p(bytes);
  }
} finally {
  rmSync(folder, { recursive: true });
}

async function compare(bytes: number, spinUs: number): Promise<void> {
  const hop = {
    bytes,
    spinUs,
    workUs: Number(values.work),
    touchBytes: Number(values.touch),
    rounds: Number(values.rounds),
  };
  const c: Both[] = [];
  const aes: HopTimes[] = [];
  const plain: HopTimes[] = [];
  for (let i = 0; i < pairs; i++) {
    c.push(await limitOf(hop));
    aes.push(await ours({ ...hop, encrypts: true }));
    plain.push(await ours({ ...hop, encrypts: false }));
  }
  const more = aes.map(
    (times, i) => times.hopP10 - (c[i]?.hopP10 ?? Number.NaN),
  );
  report({
    bench: "data-connection",
    ...hop,
    pairs,
    limitUs: both(c),
    aesUs: medians(aes),
    aesMinusLimitP10Us: round(median(more), 1),
    plainUs: medians(plain),
  });
}

async function compareLibp2p(bytes: number): Promise<void> {
  const hop: Hop = {
    bytes,
    encrypts: true,
    spinUs: 0,
    workUs: Number(values.work),
    touchBytes: 0,
    rounds: Number(values.rounds),
  };
  const data: Both[] = [];
  const quic: Both[] = [];
  const tcp: Both[] = [];
  for (let i = 0; i < pairs; i++) {
    data.push(await ours(hop));
    quic.push(await overLibp2p(hop, LISTEN.quic));
    tcp.push(await overLibp2p(hop, LISTEN.tcp));
  }
  report({
    bench: "data-connection",
    bytes,
    pairs,
    dataConnectionUs: both(data),
    libp2pQuicUs: both(quic),
    libp2pTcpUs: both(tcp),
  });
}

async function overLibp2p(hop: Hop, listen: string): Promise<Both> {
  const text = JSON.stringify(hop);
  const answers = fork(libp2pSide, ["answer", text, listen]);
  const answersEnded = once(answers, "exit");
  const [target] = (await once(answers, "message")) as [object];
  const asks = fork(libp2pSide, ["ask", text, JSON.stringify(target)]);
  const asksEnded = once(asks, "exit");
  const [times] = (await once(asks, "message")) as [Both];
  answers.send("stop");
  await Promise.all([asksEnded, answersEnded]);
  return times;
}

function pinned(processor: string, args: string[]): ChildProcess {
  const command = ["-c", processor, process.execPath, side, ...args];
  const stdio: StdioOptions = ["ignore", "inherit", "inherit", "ipc"];
  return spawn("taskset", command, { stdio });
}

interface Both {
  hop: number;
  hopP10: number;
}

async function limitOf(hop: Omit<Hop, "encrypts">): Promise<Both> {
  const { bytes, rounds, spinUs, workUs, touchBytes } = hop;
  const args = [bytes, rounds, spinUs, workUs, touchBytes].map(String);
  const { stdout } = await promisify(execFile)(limit, args);
  const [median = "", p10 = ""] = stdout.split(" ");
  return { hop: Number(median), hopP10: Number(p10) };
}

/** Each process keeps to its own processor, as in the C program: otherwise a busy machine puts both on one. */
async function ours(hop: Hop): Promise<HopTimes> {
  const text = JSON.stringify(hop);
  const answers = pinned("1", ["answer", text]);
  const answersEnded = once(answers, "exit");
  const [port] = (await once(answers, "message")) as [number];
  const asks = pinned("0", ["ask", text, String(port)]);
  const asksEnded = once(asks, "exit");
  const [times] = (await once(asks, "message")) as [HopTimes];
  await Promise.all([asksEnded, answersEnded]);
  return times;
}

function both(runs: Both[]): Both {
  return {
    hop: round(median(runs.map((run) => run.hop)), 1),
    hopP10: round(median(runs.map((run) => run.hopP10)), 1),
  };
}

function medians(runs: HopTimes[]): HopTimes {
  const of = (key: keyof HopTimes): number =>
    round(median(runs.map((run) => run[key])), 1);
  return {
    hop: of("hop"),
    hopP10: of("hopP10"),
    hopP95: of("hopP95"),
    hopMean: of("hopMean"),
    seal: of("seal"),
    transmit: of("transmit"),
    open: of("open"),
    handle: of("handle"),
    between: of("between"),
  };
}
