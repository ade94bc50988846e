/**
 * A prompt of 16,000 tokens: how much sooner two nodes compute it than one, and what a reply beside it feels.
 *
 * The limit for the reply's slowest token is one chunk of the prompt and 100 ms: the chunk may have just begun when the token came. What a
 * chunk takes is measured without nodes and without a reply: engines of the bench's own load the same shards and compute the same prompt in the
 * chunks that the gateway chooses by the nodes' tables, all stages at once, as they do in a route. Chunks take longer with the keys and values
 * before them; the last four count, of them the median, of the slowest stage. In a route of two a token may wait for a chunk at each, so
 * `chunkMsOfAllStages`, their sum, is told as well.
 *
 * Two nodes are ok from 1.6 times the speed of one on. The exit code is 1 if anything is not ok.
 *
 *     npm exec -c 'node bench/prefill.ts'
 *     npm exec -c 'node bench/prefill.ts --tokens 3000 --pairs 1'
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  bytesOf,
  ENGINE_DEFAULTS,
  StageEngine,
  Want,
} from "../src/engine/index.ts";
import { prefillChunks } from "../src/inference/prefill.ts";
import { splitModel } from "../src/model/index.ts";
import { startSwarm, type TestSwarm } from "../test/support/swarm.ts";
import { writeRandomModel } from "../test/support/models.ts";
import { timedReply } from "./generation.ts";
import { tablesOf } from "./node-tables.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "16000" },
    /** 0: only the reply beside a prompt. */
    pairs: { type: "string", default: "2" },
  },
});
const LENGTH = Number(values.tokens);
const PROMPT = Array.from(
  { length: LENGTH },
  (_, i) => 300 + ((i * 37) % 2000),
);
const CONTEXT = 32_768;
const WIDTH = 512;
/** Longer than any prompt takes; it is cut off then. */
const REPLY_TOKENS = 15_000;
const SPEEDUP_GOAL = 1.6;
const GAP_ALLOWANCE_MS = 100;

const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const model = join(directory, "random.gguf");
try {
  await writeRandomModel(model, {
    layers: 8,
    embeddingLength: WIDTH,
    heads: 8,
    kvHeads: 4,
    feedForward: 2048,
    vocabSize: 4096,
    contextLength: CONTEXT,
    type: "Q8_0",
    vocab: "bytes",
  });
  const common = { model, contextLength: CONTEXT, threads: 1 };
  await using one = await startSwarm({ ...common, nodes: 1 });
  await using two = await startSwarm({ ...common, nodes: 2 });
  for (const { apiUrl } of [one, two]) await timedReply(apiUrl, 4);
  const pairs: Pair[] = [];
  for (let i = 0; i < Number(values.pairs); i++)
    pairs.push({
      one: await firstTokenMs(one.apiUrl),
      two: await firstTokenMs(two.apiUrl),
    });
  if (pairs.length > 0) tellSpeedup(pairs);
  await beside(1, one);
  await beside(2, two);
} finally {
  await rm(directory, { recursive: true, force: true });
}

/** From the request to the first token, in ms. */
interface Pair {
  one: number;
  two: number;
}

function tellSpeedup(pairs: readonly Pair[]): void {
  const speedup = median(pairs.map((p) => p.one / p.two));
  tell(speedup >= SPEEDUP_GOAL, {
    bench: "prefill",
    tokens: LENGTH,
    oneNodeMs: Math.round(median(pairs.map((p) => p.one))),
    twoNodesMs: Math.round(median(pairs.map((p) => p.two))),
    speedup: round(speedup, 2),
  });
}

function tell(ok: boolean, result: Record<string, unknown>): void {
  if (!ok) process.exitCode = 1;
  report({ ...result, ok });
}

async function firstTokenMs(apiUrl: string): Promise<number> {
  const sentMs = performance.now();
  const { arrivals } = await timedReply(apiUrl, 1, PROMPT);
  return (arrivals[0] ?? Number.NaN) - sentMs;
}

/** The gaps of a reply while the prompt is computed. */
async function beside(nodes: number, swarm: TestSwarm): Promise<void> {
  const { apiUrl, home } = swarm;
  const chunk = await chunkAlone(nodes, home);
  const over = new AbortController();
  const at: number[] = [];
  const started = Promise.withResolvers<void>();
  const onToken = (count: number): void => {
    at.push(performance.now());
    if (count === 20) started.resolve();
  };
  const prompt = [300, 301];
  const reply = timedReply(apiUrl, REPLY_TOKENS, prompt, onToken, over.signal);
  await Promise.race([started.promise, reply]);
  const sentMs = performance.now();
  const tookMs = await firstTokenMs(apiUrl);
  const until = sentMs + tookMs;
  over.abort();
  await reply.catch(() => {});
  if (at.length === REPLY_TOKENS)
    throw new Error("the reply ended before the prompt was computed");
  const during = at.filter((each) => each > sentMs && each < until);
  const gaps = [...during, until].map(
    (each, i) => each - (during[i - 1] ?? sentMs),
  );
  const slowestGapMs = Math.max(...gaps);
  const limitMs = Math.max(...chunk.ms) + GAP_ALLOWANCE_MS;
  tell(slowestGapMs <= limitMs, {
    bench: "prefill beside a reply",
    nodes,
    promptMs: Math.round(tookMs),
    chunkTokens: chunk.tokens,
    chunkMs: round(Math.max(...chunk.ms), 1),
    chunkMsOfAllStages: round(
      chunk.ms.reduce((sum, ms) => sum + ms, 0),
      1,
    ),
    tokens: during.length,
    medianGapMs: round(median(gaps), 1),
    slowestGapMs: round(slowestGapMs, 1),
    limitMs: round(limitMs, 1),
    gapsOverLimit: gaps.filter((gap) => gap > limitMs).length,
    // When the slowest one ended: 1 is the prompt's end.
    slowestAt: round(
      ((during[gaps.indexOf(slowestGapMs)] ?? until) - sentMs) / tookMs,
      2,
    ),
  });
}

/** One of the prompt's last chunks: its length, and its time at each stage with nothing else at the engines. */
async function chunkAlone(
  nodes: number,
  home: string,
): Promise<{ tokens: number; ms: number[] }> {
  const tables = (await tablesOf(home, nodes)) ?? [];
  const { batchTokens } = ENGINE_DEFAULTS;
  const opened = tables.map(({ chunks }) => ({
    batchTokens,
    chunkMs: chunks.map(({ tokens, ms }): [number, number] => [tokens, ms]),
  }));
  // Without tables what a gateway does without them.
  const stages = opened.length > 0 ? opened : [{ batchTokens, chunkMs: [] }];
  const lengths = prefillChunks(LENGTH, stages, "f16");
  const outDir = join(directory, `${nodes}`);
  const { shards } = await splitModel({ path: model, shards: nodes, outDir });
  const times = await Promise.all(
    shards.map(({ path }, stage) => chunkTimes(path, stage > 0, lengths)),
  );
  return {
    tokens: Math.max(...lastOf(lengths)),
    ms: times.map((each) => median(lastOf(each))),
  };
}

/** A chunk takes longer the more keys and values are before it. */
function lastOf(all: readonly number[]): number[] {
  return all.slice(-4);
}

async function chunkTimes(
  path: string,
  takesActivations: boolean,
  lengths: readonly number[],
): Promise<number[]> {
  await using engine = new StageEngine({
    path,
    contextLength: CONTEXT,
    sessions: 1,
    threads: 1,
  });
  await engine.start();
  await engine.openSequence(0, undefined);
  const times: number[] = [];
  let position = 0;
  for (const length of lengths) {
    const tokens = Int32Array.from(PROMPT.slice(position, position + length));
    const activations = takesActivations
      ? bytesOf(
          Float32Array.from({ length: length * WIDTH }, (_, i) => Math.sin(i)),
        )
      : undefined;
    const startedMs = performance.now();
    await engine.decode(0, position, tokens, activations, Want.Nothing);
    times.push(performance.now() - startedMs);
    position += length;
  }
  return times;
}
