/**
 * How much of llama.cpp's own speed is left, and what a hop costs.
 *
 * One run: the same model decoded greedily by llama.cpp itself (one process, one context, one thread) and by swarms of 1, 2, 4 and
 * 8 node processes on loopback, asked over HTTP; in pairs, one after the other, medians of the pairs. Each link must be direct, from engine
 * to engine.
 *
 *     npm exec -c 'node bench/decode.ts'                 # a random-weight model of about 150 MiB
 *     npm exec -c 'node bench/decode.ts --pin'           # what a hop costs without waking a processor
 *     npm exec -c 'node bench/decode.ts --model models/demo/shoal-demo.gguf --nodes 1,2 --pairs 9'
 */
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startSwarm, type TestSwarm } from "../test/support/swarm.ts";
import {
  msPerToken,
  PROMPT,
  timedReply,
  writeBenchModel,
} from "./generation.ts";
import { median, quantile, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    nodes: { type: "string", default: "1,2,4,8" },
    pairs: { type: "string", default: "9" },
    tokens: { type: "string", default: "80" },
    /** A wider model has longer frames: 4096 values are 16 KiB. */
    width: { type: "string", default: "1024" },
    /** Engines and llama.cpp on processor 0, all others on 1: then no hop wakes an idle processor. Needs taskset. */
    pin: { type: "boolean", default: false },
  },
});
const PAIRS = Number(values.pairs);
const TOKENS = Number(values.tokens);

const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const model = values.model ?? join(directory, "random.gguf");
if (values.model === undefined)
  await writeBenchModel(model, Number(values.width));
const modelMiB = round((await stat(model)).size / 2 ** 20, 1);
const direct = fork(new URL("direct-llama.ts", import.meta.url), [model]);
await once(direct, "message");

if (values.pin) {
  keepTo(1, process.pid);
  keepTo(0, direct.pid);
}

/** All threads of a process; what it starts later inherits it. */
function keepTo(processor: number, pid: number | undefined): void {
  execFileSync("taskset", ["-acp", `${processor}`, `${pid}`]);
}

function pinEngines(swarm: TestSwarm, nodes: number): void {
  for (let i = 0; i < nodes; i++) {
    const parent = `${swarm.pidOf(`node ${i}`)}`;
    const engines = execFileSync("pgrep", ["-P", parent], { encoding: "utf8" });
    for (const engine of engines.trim().split("\n")) keepTo(0, Number(engine));
  }
}

/** ms per token of llama.cpp alone. */
async function directMs(): Promise<number> {
  direct.send({ prompt: PROMPT, tokens: TOKENS });
  const [reply] = (await once(direct, "message")) as [{ msPerToken: number }];
  return reply.msPerToken;
}

interface Pair {
  direct: number;
  swarm: number;
  /** Of all stages, by their own clocks. */
  compute: number;
  /** Of all links. */
  wire: number;
}

try {
  for (const nodes of values.nodes.split(",").map(Number)) {
    await using swarm = await startSwarm({
      nodes,
      model,
      contextLength: 512,
      threads: 1,
    });
    if (values.pin) pinEngines(swarm, nodes);
    await timedReply(swarm.apiUrl, TOKENS);
    await directMs();
    const pairs: Pair[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const alone = await directMs();
      const reply = await timedReply(swarm.apiUrl, TOKENS);
      const directLinks = reply.stages.filter((stage) => stage.direct === true);
      if (directLinks.length !== nodes)
        throw new Error(
          `a link is not direct: ${JSON.stringify(reply.stages)}`,
        );
      const sum = (of: "compute_ms" | "wire_ms"): number =>
        reply.stages.reduce((total, stage) => total + (stage[of] ?? 0), 0);
      pairs.push({
        direct: alone,
        swarm: msPerToken(reply),
        compute: sum("compute_ms"),
        wire: sum("wire_ms"),
      });
    }
    const hops = pairs.map((p) => (p.swarm - p.direct) / nodes);
    report({
      bench: "decode",
      nodes,
      pinned: values.pin,
      modelMiB,
      pairs: PAIRS,
      directMsPerToken: round(median(pairs.map((p) => p.direct))),
      swarmMsPerToken: round(median(pairs.map((p) => p.swarm))),
      speedRatio: round(median(pairs.map((p) => p.direct / p.swarm))),
      overheadMsPerHop: round(median(hops)),
      overheadP10: round(quantile(hops, 0.1)),
      overheadP90: round(quantile(hops, 0.9)),
      computeMs: round(median(pairs.map((p) => p.compute))),
      wireMs: round(median(pairs.map((p) => p.wire))),
    });
  }
} finally {
  direct.kill();
  await rm(directory, { recursive: true, force: true });
}
