/**
 * What does an idle swarm cost? A swarm of 8 nodes (each its node process and its engine) is left alone; memory and CPU time of every
 * process are read from the kernel when it has settled and at the end.
 *
 *     npm exec -c 'node bench/idle.ts --minutes 10'
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { sleep } from "../src/lib/index.ts";
import { startSwarm } from "../test/support/swarm.ts";
import { report, round } from "./support.ts";

const { values } = parseArgs({
  allowNegative: true,
  options: {
    nodes: { type: "string", default: "8" },
    minutes: { type: "string", default: "10" },
    /** Compilers and caches are still at work before that. */
    settle: { type: "string", default: "2" },
    /** The nodes fetch their shards and seed them on, as they do between machines: each has its transfer thread. */
    seeding: { type: "boolean", default: true },
  },
});
const MINUTE_MS = 60_000;
/** Ticks of /proc/<pid>/stat a second: fixed by the kernel's interface. */
const TICKS = 100;

interface Usage {
  rssMiB: number;
  cpuS: number;
}

await using swarm = await startSwarm({
  nodes: Number(values.nodes),
  threads: 1,
  fromSeeder: values.seeding,
});
const nodes = swarm.processes.filter(({ name }) => name.startsWith("node"));
const settleMs = Number(values.settle) * MINUTE_MS;
const totalMs = Number(values.minutes) * MINUTE_MS;
await sleep(settleMs);
const before = nodes.map(({ pid }) => usageOf(pid ?? 0));
await sleep(totalMs - settleMs);
const after = nodes.map(({ pid }) => usageOf(pid ?? 0));
const seconds = (totalMs - settleMs) / 1000;
const grown = after.map((a, i) => a.rssMiB / (before[i]?.rssMiB ?? 0));
const cpu = after.map(
  (a, i) => (100 * (a.cpuS - (before[i]?.cpuS ?? 0))) / seconds,
);
report({
  bench: "idle",
  seeding: values.seeding,
  nodes: nodes.length,
  minutes: Number(values.minutes),
  rssMiB: round(Math.max(...after.map((a) => a.rssMiB)), 1),
  rssGrowthMost: round(Math.max(...grown)),
  cpuPercentOfACore: cpu.map((c) => round(c, 2)),
  cpuPercentMost: round(Math.max(...cpu), 2),
});

/** Of a process and its children. */
function usageOf(pid: number): Usage {
  const usage = { rssMiB: 0, cpuS: 0 };
  for (const one of [pid, ...childrenOf(pid)]) {
    const stat = readFileSync(`/proc/${one}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    usage.cpuS += (Number(fields[11]) + Number(fields[12])) / TICKS;
    const status = readFileSync(`/proc/${one}/status`, "utf8");
    usage.rssMiB += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  }
  return usage;
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8")
      .split(" ")
      .filter((text) => text !== "")
      .map(Number),
  );
}
