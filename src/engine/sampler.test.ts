/** llama.cpp's samplers on a real model's logits. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { readShard } from "../model/index.ts";
import { Sampler } from "./sampler.ts";
import { keyedSeed } from "./sampler-chain.ts";
import { parseSampling, type SamplingOptions } from "./sampling.ts";
import { Stage } from "./stage.ts";

async function withStage(t: TestContext): Promise<Stage> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2 });
  const options = {
    contextLength: 256,
    sessions: 1,
    batchTokens: 64,
    threads: 1,
  };
  const stage = new Stage(await readShard(path), options);
  t.after(() => stage[Symbol.dispose]());
  stage.decode(
    0,
    0,
    Int32Array.from({ length: 20 }, (_, i) => i * 7),
    undefined,
  );
  return stage;
}

/** The tokens drawn at 40 positions from the same logits. */
function draws(
  stage: Stage,
  options: Partial<SamplingOptions>,
  from = 0,
): number[] {
  using sampler = new Sampler(stage, parseSampling(options));
  return Array.from(
    { length: 40 },
    (_, i) => sampler.sample(stage, from + i).token,
  );
}

function best(stage: Stage): number {
  const logits = stage.logits();
  return logits.indexOf(Math.max(...logits));
}

test("temperature 0 takes the most probable token", async (t) => {
  const stage = await withStage(t);
  assert.deepEqual(
    new Set(draws(stage, { temperature: 0 })),
    new Set([best(stage)]),
  );
});

test("top-k 1 takes it at any temperature", async (t) => {
  const stage = await withStage(t);
  assert.deepEqual(
    new Set(draws(stage, { temperature: 2, topK: 1 })),
    new Set([best(stage)]),
  );
});

test("the drawn token depends only on seed and position", async (t) => {
  const stage = await withStage(t);
  const wild = { temperature: 2, topK: 0, topP: 1, minP: 0 };
  const whole = draws(stage, { ...wild, seed: 7 });
  assert.ok(new Set(whole).size > 5, "it varies");
  assert.deepEqual(draws(stage, { ...wild, seed: 7 }), whole);
  assert.notDeepEqual(draws(stage, { ...wild, seed: 8 }), whole);
  // A sampler that begins in the middle draws the same tokens: nothing is lost with a stage.
  assert.deepEqual(
    draws(stage, { ...wild, seed: 7 }, 20).slice(0, 20),
    whole.slice(20),
  );
});

test("narrower top-p and min-p draw from fewer tokens", async (t) => {
  const stage = await withStage(t);
  const wild = { temperature: 2, topK: 0, topP: 1, minP: 0 };
  const all = new Set(draws(stage, wild)).size;
  assert.ok(new Set(draws(stage, { ...wild, topP: 0.05 })).size < all);
  assert.ok(new Set(draws(stage, { ...wild, minP: 0.9 })).size < all);
});

test("a logit bias bans and forces tokens", async (t) => {
  const stage = await withStage(t);
  const top = best(stage);
  assert.ok(
    !draws(stage, { temperature: 0, logitBias: [[top, -100]] }).includes(top),
  );
  const forced = (top + 5) % 320;
  assert.deepEqual(
    new Set(draws(stage, { temperature: 0, logitBias: [[forced, 100]] })),
    new Set([forced]),
  );
});

test("penalties count the prompt and the drawn tokens", async (t) => {
  const stage = await withStage(t);
  const top = best(stage);
  const options = parseSampling({
    temperature: 0,
    presencePenalty: 2,
    frequencyPenalty: 2,
    repeatLastN: 64,
  });
  using fresh = new Sampler(stage, options);
  assert.equal(fresh.sample(stage, 20).token, top);
  assert.notEqual(
    fresh.sample(stage, 21).token,
    top,
    "drawn once, it is less likely",
  );
  using prompted = new Sampler(stage, options);
  prompted.accept(Int32Array.of(top, top), 0);
  assert.notEqual(
    prompted.sample(stage, 20).token,
    top,
    "in the prompt, it is less likely",
  );
});

test("seeds of neighbouring positions are unrelated", () => {
  const seeds = Array.from({ length: 10_000 }, (_, position) =>
    keyedSeed(42, position),
  );
  assert.equal(new Set(seeds).size, seeds.length);
  const flipped = seeds.slice(1).map((seed, i) => {
    let bits = 0;
    for (let x = (seed ^ seeds[i]!) >>> 0; x > 0; x >>>= 1) bits += x & 1;
    return bits;
  });
  const mean = flipped.reduce((sum, bits) => sum + bits, 0) / flipped.length;
  assert.ok(Math.abs(mean - 16) < 0.5, `${mean} of 32 bits change`);
});
