/**
 * A long prompt beside a running reply: while 16,000 tokens of prompt are computed through two nodes, the reply goes on, on average by a token or
 * more for each chunk, and the prompt gets llama.cpp's own answer. How long its slowest token takes is measured by bench/prefill.ts.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { BANNED, timedReply } from "../../bench/generation.ts";
import { Llama } from "../support/llama.ts";
import { writeRandomModel } from "../support/models.ts";
import { startSwarm } from "../support/swarm.ts";

const PROMPT_TOKENS = 16_000;
const ANSWER_TOKENS = 12;
/** No chunk is longer. */
const CHUNK_TOKENS = 192;

const directory = await mkdtemp(join(tmpdir(), "shoal-long-"));
after(() => rm(directory, { recursive: true, force: true }));

test("a reply goes on while a prompt of 16,000 tokens is computed, by a token or more a chunk", async (t) => {
  const model = join(directory, "model.gguf");
  await writeRandomModel(model, {
    layers: 4,
    embeddingLength: 128,
    feedForward: 256,
    heads: 4,
    kvHeads: 2,
    contextLength: 32_768,
    type: "Q8_0",
    vocab: "bytes",
  });
  await using swarm = await startSwarm({ nodes: 2, model, threads: 1 });
  const prompt = Array.from(
    { length: PROMPT_TOKENS },
    (_, i) => 5 + ((i * 7919) % 250),
  );
  const arrivals: number[] = [];
  const started = Promise.withResolvers<void>();
  const over = new AbortController();
  // Longer than the prompt takes; it is cut off then.
  const reply = timedReply(
    swarm.apiUrl,
    15_000,
    [7, 8, 9],
    (count) => {
      arrivals.push(performance.now());
      if (count === 10) started.resolve();
    },
    over.signal,
  );
  await Promise.race([started.promise, reply]);
  const sentMs = performance.now();
  const long = await timedReply(swarm.apiUrl, ANSWER_TOKENS, prompt);
  const firstMs = long.arrivals[0]!;
  const during = arrivals.filter((at) => at > sentMs && at < firstMs);
  assert.ok(
    await stillRuns(reply),
    "the reply was still running when the prompt was computed",
  );
  over.abort();
  await assert.rejects(reply, { name: "AbortError" });
  const chunks = PROMPT_TOKENS / CHUNK_TOKENS;
  const gaps = during.slice(1).map((at, i) => at - during[i]!);
  t.diagnostic(
    `${during.length} tokens while ${Math.ceil(chunks)} chunks or more were computed in ${Math.round(firstMs - sentMs)} ms; the slowest after ${Math.round(Math.max(...gaps))} ms`,
  );
  assert.ok(
    during.length >= chunks,
    `only ${during.length} tokens passed between ${chunks} chunks`,
  );
  const llama = new Llama(model, PROMPT_TOKENS + 256);
  const expected = llama.greedy(Int32Array.from(prompt), ANSWER_TOKENS, BANNED);
  assert.ok(new Set(expected).size >= 3, "not one token again and again");
  assert.equal(long.text, llama.text(expected), "the prompt's answer");
});

async function stillRuns(reply: Promise<unknown>): Promise<boolean> {
  return await Promise.race([
    reply.then(() => false),
    new Promise<boolean>((resolve) => setImmediate(() => resolve(true))),
  ]);
}
