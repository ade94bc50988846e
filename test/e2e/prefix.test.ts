/**
 * What was computed is not computed again: a prompt that begins like an earlier one, and the next turn of a conversation, go on from what the three
 * stages have kept, also after a stage was lost and fed again, and after all were started anew, from disk. The text is llama.cpp's each time.
 */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { KvType } from "../../src/lib/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Llama } from "../support/llama.ts";
import { writeRandomModel } from "../support/models.ts";
import { type Answer, BANNED, StagedSwarm } from "../support/staged-swarm.ts";
import { answering } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const CONTEXT = 2_048;
const TOKENS = 40;
/** Of a reply that is lost in the middle, also where that is noticed late. */
const LONG_TOKENS = 800;
/** Longer than two of llama.cpp's graphs. */
const SHARED_TOKENS = 1_100;

async function randomModel(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, {
    layers: 6,
    embeddingLength: 256,
    feedForward: 512,
    heads: 8,
    kvHeads: 4,
    vocabSize: 1024,
    contextLength: CONTEXT,
    type: "Q8_0",
    vocab: "bytes",
  });
  return path;
}

const SHARED = Int32Array.from(
  { length: SHARED_TOKENS },
  (_, i) => 259 + ((i * 7919) % 700),
);

function start(
  t: TestContext,
  model: string,
  ...how: string[]
): Promise<StagedSwarm> {
  return StagedSwarm.start(t, model, "--context", `${CONTEXT}`, ...how);
}

function then(prompt: Int32Array, ...more: number[]): Int32Array {
  return Int32Array.from([...prompt, ...more]);
}

for (const kv of ["f16", "bf16"] as const)
  test(`${kv}: prompts that begin alike, turns of a conversation, a lost stage, a restart`, async (t) => {
    const model = await randomModel(t);
    using llama = new Llama(model, CONTEXT, { kv: kv satisfies KvType });
    const swarm = await start(t, model, "--kv", kv);
    const check = async (
      what: string,
      prompt: Int32Array,
      tokens = TOKENS,
    ): Promise<Answer & { tokens: number[] }> => {
      const expected = llama.greedy(prompt, tokens, BANNED);
      const answer = await swarm.ask(prompt, tokens);
      t.diagnostic(`${what}: ${answer.cached} of ${prompt.length}`);
      assert.equal(answer.text, llama.text(expected), what);
      return { ...answer, tokens: expected };
    };

    const cold = await check("cold", then(SHARED, 300, 301));
    assert.equal(cold.cached, 0);
    const other = await check("another end", then(SHARED, 400, 401, 402));
    assert.equal(other.cached, kv === "f16" ? 1_024 : 1_088);

    const turn = then(SHARED, 400, 401, 402, ...other.tokens, 500, 501);
    const next = await check("the next turn", turn);
    // With f16 keys a reply's tokens are computed again as a prompt's.
    assert.equal(next.cached, kv === "f16" ? 1_024 : 1_088 + 0);

    const survivors = [0, 2];
    const before = await Promise.all(
      survivors.map((i) => swarm.computedInAll(i)),
    );
    const again = check("a stage dies", then(SHARED, 600, 601), LONG_TOKENS);
    await swarm.underWay();
    await swarm.nodes[1]!.kill();
    swarm.forget(1);
    await swarm.startNode(1);
    assert.ok((await again).recoveries > 0, "it was lost too late");
    // The new one got everything from the stage before; the others computed the reply, and nothing twice but a few tokens.
    const after = await Promise.all(
      survivors.map((i) => swarm.computedInAll(i)),
    );
    for (const [i, tokens] of after.entries()) {
      const more = tokens - before[i]!;
      assert.ok(more < LONG_TOKENS + 100, `a survivor computed ${more} tokens`);
    }
    await until(
      "the new stage to tell what it computed",
      async () => (await swarm.computed(1)) > SHARED_TOKENS,
    );
    const fed = await check("after it was fed again", then(SHARED, 700));
    assert.ok(fed.cached >= 1_024, `${fed.cached}`);

    await swarm.written(1);
    await Promise.all(swarm.nodes.map((node) => node.stop()));
    await Promise.all([0, 1, 2].map((i) => swarm.startNode(i)));
    await answering(swarm.apiUrl);
    const restarted = await check("after a restart", then(SHARED, 800));
    assert.ok(restarted.cached >= 1_024, `${restarted.cached}`);
  });

test("no more than --cache is kept, and what is damaged is computed again", async (t) => {
  const model = await randomModel(t);
  using llama = new Llama(model, CONTEXT);
  const most = 6_000_000;
  const swarm = await start(t, model, "--cache", `${most}`);
  for (let i = 0; i < 6; i++) {
    const prompt = then(SHARED.subarray(i), 300 + i);
    const { text } = await swarm.ask(prompt, TOKENS);
    assert.equal(text, llama.text(llama.greedy(prompt, TOKENS, BANNED)));
    await swarm.written(1);
  }
  for (const i of [0, 1, 2]) {
    const sizes = swarm.kept(i).map((path) => statSync(path).size);
    const sum = sizes.reduce((a, b) => a + b, 0);
    t.diagnostic(`node ${i}: ${sizes.length} files, ${sum} bytes`);
    assert.ok(sum <= most && sizes.length < 6);
  }
  const prompt = then(SHARED.subarray(5), 305);
  assert.ok((await swarm.ask(prompt, TOKENS)).cached > 0);
  await Promise.all(swarm.nodes.map((node) => node.stop()));
  for (const path of [0, 1, 2].flatMap((i) => swarm.kept(i))) {
    const file = await open(path, "r+");
    await file.write(Buffer.from([0xff, 0x7f]), 0, 2, 50_000);
    await file.close();
  }
  await Promise.all([0, 1, 2].map((i) => swarm.startNode(i)));
  await answering(swarm.apiUrl);
  const { text, cached } = await swarm.ask(prompt, TOKENS);
  assert.equal(cached, 0);
  assert.equal(text, llama.text(llama.greedy(prompt, TOKENS, BANNED)));
});

test("--cache 0 keeps nothing on disk", async (t) => {
  const model = await randomModel(t);
  using llama = new Llama(model, CONTEXT);
  const swarm = await start(t, model, "--cache", "0");
  const prompt = SHARED.subarray(0, 300);
  await swarm.ask(prompt, TOKENS);
  const { text } = await swarm.ask(prompt, TOKENS);
  assert.equal(text, llama.text(llama.greedy(prompt, TOKENS, BANNED)));
  for (const i of [0, 1, 2]) assert.deepEqual(swarm.kept(i), []);
});
