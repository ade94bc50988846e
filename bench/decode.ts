/**
 * How much of llama.cpp's own speed is left, and what a hop costs.
 *
 * One run: the same model decoded greedily by llama.cpp itself (one process, one context, one thread) and by swarms of 1, 2, 4 and
 * 8 node processes on loopback, asked over HTTP; in pairs, one after the other, medians of the pairs' ratios.
 *
 *     npm exec -c 'node bench/decode.ts'                 # a random-weight model of about 150 MiB
 *     npm exec -c 'node bench/decode.ts models/demo/shoal-demo.gguf'
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSwarm } from "../test/support/swarm.ts";
import { arrivalsOf, PROMPT, writeBenchModel } from "./generation.ts";
import { median, report, round } from "./support.ts";

const PAIRS = 5;
const TOKENS = 80;

const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const model = process.argv[2] ?? join(directory, "random.gguf");
if (process.argv[2] === undefined) await writeBenchModel(model);
const modelMiB = round((await stat(model)).size / 2 ** 20, 1);
const direct = fork(new URL("direct-llama.ts", import.meta.url), [model]);
await once(direct, "message");

/** ms per token of llama.cpp alone. */
async function directMs(): Promise<number> {
  direct.send({ prompt: PROMPT, tokens: TOKENS });
  const [reply] = (await once(direct, "message")) as [{ msPerToken: number }];
  return reply.msPerToken;
}

/** ms per token as a client of the gateway sees it, from the first token to the last. */
async function swarmMs(apiUrl: string): Promise<number> {
  const arrivals: number[] = [];
  for await (const ms of arrivalsOf(apiUrl, TOKENS)) arrivals.push(ms);
  const [first = 0, last = 0] = [arrivals[0], arrivals.at(-1)];
  return (last - first) / (arrivals.length - 1);
}

try {
  for (const nodes of [1, 2, 4, 8]) {
    await using swarm = await startSwarm({
      nodes,
      model,
      contextLength: 512,
      threads: 1,
    });
    await swarmMs(swarm.apiUrl);
    await directMs();
    const pairs: { direct: number; swarm: number }[] = [];
    for (let i = 0; i < PAIRS; i++)
      pairs.push({
        direct: await directMs(),
        swarm: await swarmMs(swarm.apiUrl),
      });
    report({
      bench: "decode",
      nodes,
      modelMiB,
      pairs: PAIRS,
      directMsPerToken: round(median(pairs.map((p) => p.direct))),
      swarmMsPerToken: round(median(pairs.map((p) => p.swarm))),
      speedRatio: round(median(pairs.map((p) => p.direct / p.swarm))),
      overheadMsPerHop: round(
        median(pairs.map((p) => (p.swarm - p.direct) / nodes)),
      ),
    });
  }
} finally {
  direct.kill();
  await rm(directory, { recursive: true, force: true });
}
