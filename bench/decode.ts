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
import { writeRandomModel } from "../test/support/models.ts";
import { startSwarm } from "../test/support/swarm.ts";
import { median, report, round } from "./support.ts";

const PAIRS = 5;
const TOKENS = 80;
const PROMPT = Array.from({ length: 16 }, (_, i) => 300 + i);

const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const model = process.argv[2] ?? join(directory, "random.gguf");
if (process.argv[2] === undefined) {
  await writeRandomModel(model, {
    layers: 8,
    embeddingLength: 1024,
    heads: 16,
    kvHeads: 8,
    feedForward: 4096,
    vocabSize: 4096,
    type: "Q8_0",
    vocab: "bytes",
  });
}
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
  const response = await fetch(`${apiUrl}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: await modelName(apiUrl),
      prompt: PROMPT,
      max_tokens: TOKENS,
      temperature: 0,
      logit_bias: { "2": -100 }, // the end of generation: all runs are as long
      stream: true,
    }),
  });
  const decoder = new TextDecoder();
  const arrivals: number[] = [];
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    const lines = text.split("\n\n");
    text = lines.pop() ?? "";
    for (const line of lines)
      if (line.includes('"text"')) arrivals.push(performance.now());
  }
  const [first = 0, last = 0] = [arrivals[0], arrivals.at(-1)];
  return (last - first) / (arrivals.length - 1);
}

async function modelName(apiUrl: string): Promise<string> {
  const { data } = (await (await fetch(`${apiUrl}/v1/models`)).json()) as {
    data: { id: string }[];
  };
  return data[0]?.id ?? "";
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
