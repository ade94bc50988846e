/**
 * Many sessions at once: tokens a second of all together, and each session's slowest token, against what the stages' own tables predict.
 *
 * A stage measures at its load what a decode with a token each of n sessions takes. The prediction plays the ring with these times (played-ring.ts):
 * each stage takes its next group of waiting tokens as an engine does (src/engine/turns.ts, with the stage's own table), the whole group is at the
 * next stage at once, and the last stage's tokens are at the first one at once. No more stages compute at once than this machine has cores; the one
 * whose tokens wait longest goes first. Nothing else takes time: not sampling, links, nodes, gateway and client. Sessions that start
 * together stay in one group, those that start one after the other spread over the stages; the better of the two is the prediction.
 *
 * The tables are those of the nodes (`state/engine-tables.json`). All nodes measure at once, so with more nodes than cores their tables are too
 * slow; then, and where a node had no time to measure all, the bench loads the same shards in engines of its own, as many at once as there are
 * cores, and takes their tables.
 * `oneTokenMs` is what the tables give for one token through all stages: on a quiet machine about the same for each number of nodes.
 *
 * A case is ok with 0.8 of the prediction and more; if one is not, the exit code is 1.
 *
 *     npm exec -c 'node bench/sessions.ts'
 *     npm exec -c 'node bench/sessions.ts --layers 64 --tokens 120 --seconds 6'
 *     npm exec -c 'node bench/sessions.ts --nodes 1 --sessions 1,8 --batch fast --rounds 1'
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ENGINE_DEFAULTS, StageEngine } from "../src/engine/index.ts";
import type { StageTables } from "../src/engine/tables.ts";
import type { BatchMode } from "../src/lib/index.ts";
import { splitModel } from "../src/model/index.ts";
import { startSwarm } from "../test/support/swarm.ts";
import { PROMPT, timedReply, writeBenchModel } from "./generation.ts";
import { tablesOf } from "./node-tables.ts";
import { playedRate } from "./played-ring.ts";
import { median, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1,2,4" },
    sessions: { type: "string", default: "1,2,4,8,16,32" },
    batch: { type: "string", default: "exact,fast" },
    /** Of the model. With 8 a token is so cheap that nodes, gateway and client take as much of two processors as the stages. */
    layers: { type: "string", default: "8" },
    /** Most of a reply; 240 and the prompt fit into a page of keys and values. */
    tokens: { type: "string", default: "240" },
    /** Counted in each round, from the moment all replies have begun. */
    seconds: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    cores: { type: "string", default: String(availableParallelism()) },
  },
});
const numbers = (text: string): number[] => text.split(",").map(Number);
const TOKENS = Number(values.tokens);
const SESSIONS = numbers(values.sessions);
const CORES = Number(values.cores);
const GOAL = 0.8;

/** Gateway and stages free the sessions that were cut off: those of the next round get sequences side by side again. */
const AFTER_ROUND_MS = 1_000;

/** Keys and values are reserved in pages of so many tokens. */
const PAGE_TOKENS = 256;
const PAGES = Math.ceil((PROMPT.length + TOKENS) / PAGE_TOKENS);
/** A node has room for some sessions of the whole context; all of ours have to fit into it. */
const CONTEXT = Math.max(
  512,
  PAGES *
    PAGE_TOKENS *
    Math.ceil(Math.max(...SESSIONS) / ENGINE_DEFAULTS.sessions),
);

const directory = await mkdtemp(join(tmpdir(), "shoal-bench-"));
const model = join(directory, "random.gguf");
await writeBenchModel(model, 1024, CONTEXT, Number(values.layers));
try {
  for (const nodes of numbers(values.nodes))
    for (const batch of values.batch.split(",") as BatchMode[])
      await measure(nodes, batch);
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function measure(nodes: number, batch: BatchMode): Promise<void> {
  await using swarm = await startSwarm({
    nodes,
    model,
    contextLength: CONTEXT,
    threads: 1,
    batch,
  });
  const tables =
    (nodes > CORES ? undefined : await tablesOf(swarm.home, nodes)) ??
    (await measuredAgain(nodes, batch));
  await together(swarm.apiUrl, 2); // not counted: everything is warm after it
  for (const sessions of SESSIONS) {
    const rounds: Round[] = [];
    for (let i = 0; i < Number(values.rounds); i++)
      rounds.push(await together(swarm.apiUrl, sessions));
    const rate = median(rounds.map((each) => each.tokensPerSecond));
    const slowest = rounds.flatMap((each) => each.slowestMs);
    const predicted = predictedRate(tables, batch, sessions);
    const ok = rate >= GOAL * predicted;
    if (!ok) process.exitCode = 1;
    report({
      bench: "sessions",
      layers: Number(values.layers),
      nodes,
      batch,
      sessions,
      tokensPerSecond: round(rate, 1),
      predicted: round(predicted, 1),
      ratio: round(rate / predicted, 3),
      ok,
      slowestTokenMs: {
        worst: round(Math.max(...slowest), 1),
        median: round(median(slowest), 1),
      },
      oneTokenMs: round(
        tables.reduce((sum, table) => sum + oneTokenMs(table), 0),
        1,
      ),
    });
  }
}

interface Round {
  tokensPerSecond: number;
  /** Of each session. */
  slowestMs: number[];
}

/** While all of them generate: from the last first token on, for some seconds or until a reply ends. */
async function together(apiUrl: string, sessions: number): Promise<Round> {
  const arrivals = Array.from({ length: sessions }, (): number[] => []);
  const began = Promise.withResolvers<void>();
  const over = new AbortController();
  const replies = arrivals.map((times, i) => {
    const prompt = PROMPT.map((token) => token + i);
    const onToken = (): void => {
      times.push(performance.now());
      if (arrivals.every(({ length }) => length > 0)) began.resolve();
    };
    return timedReply(apiUrl, TOKENS, prompt, onToken, over.signal);
  });
  const ended = Promise.race(replies);
  ended.catch(() => {}); // those that are cut off below
  try {
    await Promise.race([began.promise, ended]);
    const from = Math.max(...arrivals.map(([first = Infinity]) => first));
    if (from === Infinity)
      throw new Error("a reply ended before another began: more --tokens");
    await Promise.race([
      setTimeout(1000 * Number(values.seconds), undefined, over),
      ended,
    ]);
    return roundOf(arrivals, from);
  } finally {
    over.abort();
    await Promise.allSettled(replies);
    await setTimeout(AFTER_ROUND_MS);
  }
}

function roundOf(arrivals: readonly number[][], from: number): Round {
  // The first reply that ends leaves the others with less to wait for.
  const ends = arrivals
    .filter(({ length }) => length === TOKENS)
    .map((times) => times.at(-1) ?? 0);
  const last = Math.max(...arrivals.map((times) => times.at(-1) ?? 0));
  const to = Math.min(last, ...ends);
  const within = arrivals.flat().filter((at) => at > from && at <= to);
  return {
    tokensPerSecond: (within.length * 1000) / (to - from),
    slowestMs: arrivals.map((times) => slowestGap(times, from, to)),
  };
}

/** From token to token, and from the last one to the end: a session that gets none has the longest. */
function slowestGap(
  arrivals: readonly number[],
  from: number,
  to: number,
): number {
  const within = arrivals.filter((at) => at >= from && at <= to);
  const times = [...within, to];
  return Math.max(...times.map((at, i) => at - (times[i - 1] ?? from)));
}

/** Of the better start. */
function predictedRate(
  tables: readonly StageTables[],
  batch: BatchMode,
  sessions: number,
): number {
  const ring = {
    tables,
    batch,
    sessions,
    contextLength: CONTEXT,
    cores: CORES,
  };
  return Math.max(
    playedRate({ ...ring, start: "together" }),
    playedRate({ ...ring, start: "one by one" }),
  );
}

function oneTokenMs({ shared }: StageTables): number {
  return shared[0]?.ms ?? Number.NaN;
}

async function measuredAgain(
  nodes: number,
  batch: BatchMode,
): Promise<StageTables[]> {
  const outDir = join(directory, `${nodes}-${batch}`);
  const { shards } = await splitModel({ path: model, shards: nodes, outDir });
  const tables: StageTables[] = [];
  for (let from = 0; from < nodes; from += CORES) {
    const together = shards.slice(from, from + CORES).map(async ({ path }) => {
      await using engine = new StageEngine({
        path,
        contextLength: CONTEXT,
        sessions: Math.max(...SESSIONS),
        threads: 1,
        tablesPath: `${path}.tables.json`,
      });
      return (await engine.start()).tables;
    });
    tables.push(...(await Promise.all(together)));
  }
  return tables;
}
