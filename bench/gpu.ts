/**
 * How much of a graphics card's speed is left: tokens and prefill, one stage and two on the card, against llama.cpp by itself with the same
 * library and all layers on the same card. (llama.cpp's packages hold no llama-bench; direct-llama.ts does what it does.) In pairs, one after
 * the other, medians of the pairs' ratios. Ends with an error where there is no card.
 *
 *     npm exec -c 'node bench/gpu.ts'                       # a random-weight model of about 150 MiB
 *     npm exec -c 'node bench/gpu.ts --gpu Vulkan0 model.gguf'
 *     npm exec -c 'node bench/gpu.ts --tiny'                # shows that it runs: a card that the processor emulates takes minutes for more
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chooseGpu } from "../src/engine/index.ts";
import { writeRandomModel } from "../test/support/models.ts";
import { startSwarm } from "../test/support/swarm.ts";
import { arrivalsOf, writeBenchModel } from "./generation.ts";
import { median, report, round } from "./support.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    gpu: { type: "string", default: "auto" },
    tiny: { type: "boolean", default: false },
  },
});
const PAIRS = values.tiny ? 1 : 5;
const TOKENS = values.tiny ? 8 : 128;
/** Ids of ordinary tokens; the second is a prompt for prefill. */
const ids = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => 300 + (i % 16));
const SHORT = ids(values.tiny ? 1 : 16);
const LONG = ids(values.tiny ? 1 : 512);

const { backend, device, devices } = await chooseGpu(values.gpu);
if (backend === "cpu")
  throw new Error("no graphics card is used here: see `shoal devices`");
const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const model = positionals[0] ?? join(directory, "random.gguf");
if (positionals[0] === undefined) {
  if (values.tiny) await writeRandomModel(model, { layers: 2, vocab: "bytes" });
  else await writeBenchModel(model);
}
const modelMiB = round((await stat(model)).size / 2 ** 20, 1);
const direct = fork(new URL("direct-llama.ts", import.meta.url), [
  model,
  backend,
  device ?? "",
]);
await once(direct, "message");

interface Speed {
  msPerToken: number;
  /** Until the first token of the long prompt. */
  prefillMs: number;
}

async function directSpeed(): Promise<Speed> {
  const { msPerToken } = await timed(SHORT, TOKENS);
  const { firstMs } = await timed(LONG, 2);
  return { msPerToken, prefillMs: firstMs };
}

async function timed(
  prompt: readonly number[],
  tokens: number,
): Promise<{ msPerToken: number; firstMs: number }> {
  direct.send({ prompt, tokens });
  const [reply] = (await once(direct, "message")) as [
    { msPerToken: number; firstMs: number },
  ];
  return reply;
}

/** As a client of the gateway sees it. */
async function swarmSpeed(apiUrl: string): Promise<Speed> {
  const arrivals: number[] = [];
  for await (const ms of arrivalsOf(apiUrl, TOKENS, SHORT)) arrivals.push(ms);
  const startedMs = performance.now();
  let prefillMs = NaN;
  for await (const ms of arrivalsOf(apiUrl, 2, LONG))
    if (Number.isNaN(prefillMs)) prefillMs = ms - startedMs;
  const [first = 0, last = 0] = [arrivals[0], arrivals.at(-1)];
  return { msPerToken: (last - first) / (arrivals.length - 1), prefillMs };
}

try {
  for (const nodes of [1, 2]) {
    await using swarm = await startSwarm({
      nodes,
      model,
      contextLength: values.tiny ? 64 : 1024,
      threads: 1,
      gpu: values.gpu,
    });
    await swarmSpeed(swarm.apiUrl);
    await directSpeed();
    const pairs: { direct: Speed; swarm: Speed }[] = [];
    for (let i = 0; i < PAIRS; i++)
      pairs.push({
        direct: await directSpeed(),
        swarm: await swarmSpeed(swarm.apiUrl),
      });
    const middle = (of: (pair: (typeof pairs)[number]) => number): number =>
      round(median(pairs.map(of)));
    report({
      bench: "gpu",
      device: devices.map(({ name, description }) => `${name} ${description}`),
      stages: nodes,
      modelMiB,
      pairs: PAIRS,
      directMsPerToken: middle(({ direct: d }) => d.msPerToken),
      tokenRatio: middle(
        ({ direct: d, swarm: s }) => d.msPerToken / s.msPerToken,
      ),
      promptTokens: LONG.length,
      directPrefillMs: middle(({ direct: d }) => d.prefillMs),
      prefillRatio: middle(
        ({ direct: d, swarm: s }) => d.prefillMs / s.prefillMs,
      ),
    });
  }
} finally {
  direct.kill();
  await rm(directory, { recursive: true, force: true });
}
