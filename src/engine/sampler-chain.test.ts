/** Each sampler draws what a chain of llama.cpp's own draws that is built here by hand, token after token. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { readShard } from "../model/index.ts";
import { loadNative } from "./native.ts";
import type { Pointer } from "./native-types.ts";
import { Sampler } from "./sampler.ts";
import { keyedSeed } from "./sampler-chain.ts";
import { parseSampling, type SamplingOptions } from "./sampling.ts";
import { Stage } from "./stage.ts";

const PROMPT = Int32Array.of(40, 41, 42, 43, 44, 40, 41, 42);
const SEED = 11;
/** Off, but for what a case is about. */
const WILD = { temperature: 1.5, topK: 0, topP: 1, minP: 0, seed: SEED };

async function withStage(t: TestContext): Promise<Stage> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2, vocab: "bytes" });
  const stage = new Stage(await readShard(path), {
    contextLength: 256,
    sessions: 1,
    batchTokens: 64,
    threads: 1,
  });
  t.after(() => stage[Symbol.dispose]());
  stage.decode(0, 0, PROMPT, undefined);
  return stage;
}

type Build = (stage: Stage, seed: number) => Pointer[];

const native = loadNative();
const xtcSeed = (seed: number): number => keyedSeed(seed ^ 0x58544300, 0);
const tail = (seed: number): Pointer[] => [
  native.temperature(1.5),
  native.dist(seed),
];

const CASES: Record<string, [Partial<SamplingOptions>, Build]> = {
  "typical p": [
    { typicalP: 0.3 },
    (_, seed) => [native.typical(0.3, 1), ...tail(seed)],
  ],
  "top n sigma": [
    { topNSigma: 1 },
    (_, seed) => [native.topNSigma(1), ...tail(seed)],
  ],
  xtc: [
    { xtcProbability: 0.5, xtcThreshold: 0.004 },
    (_, seed) => [native.xtc(0.5, 0.004, 1, xtcSeed(seed)), ...tail(seed)],
  ],
  "dynamic temperature": [
    { dynatempRange: 1, dynatempExponent: 1.2 },
    (_, seed) => [native.dynamicTemperature(1.5, 1, 1.2), native.dist(seed)],
  ],
  dry: [
    {
      dryMultiplier: 3,
      dryBase: 2,
      dryAllowedLength: 1,
      drySequenceBreakers: [":"],
      temperature: 0,
    },
    (stage) => [
      native.dry(native.vocab(stage.model), 3, 2, 1, 256, [":"]),
      native.greedy(),
    ],
  ],
  "xtc with temperature 0": [
    { temperature: 0, xtcProbability: 0.5, xtcThreshold: 0.004 },
    (_, seed) => [native.xtc(0.5, 0.004, 1, xtcSeed(seed)), native.greedy()],
  ],
  "all in llama.cpp's order": [
    {
      logitBias: [[9, 3]],
      repeatPenalty: 1.3,
      frequencyPenalty: 0.3,
      presencePenalty: 0.2,
      dryMultiplier: 0.8,
      topNSigma: 2,
      topK: 100,
      typicalP: 0.9,
      topP: 0.9,
      minP: 0.05,
      xtcProbability: 0.4,
      xtcThreshold: 0.02,
      dynatempRange: 0.5,
    },
    (stage, seed) => [
      native.logitBias(stage.vocabSize, [[9, 3]]),
      native.penalties(stage.vocabSize, 64, 1.3, 0.3, 0.2),
      native.dry(native.vocab(stage.model), 0.8, 1.75, 2, 256, [
        "\n",
        ":",
        '"',
        "*",
      ]),
      native.topNSigma(2),
      native.topK(100),
      native.typical(0.9, 1),
      native.topP(0.9, 1),
      native.minP(0.05, 1),
      native.xtc(0.4, 0.02, 1, xtcSeed(seed)),
      native.dynamicTemperature(1.5, 0.5, 1),
      native.dist(seed),
    ],
  ],
  "another order, with randomness before what remembers": [
    {
      samplers: ["temperature", "xtc", "top_p", "penalties"],
      repeatPenalty: 1.3,
      presencePenalty: 1,
      topP: 0.7,
      topK: 3,
      xtcProbability: 0.5,
      xtcThreshold: 0.004,
    },
    (stage, seed) => [
      native.temperature(1.5),
      native.xtc(0.5, 0.004, 1, xtcSeed(seed)),
      native.topP(0.7, 1),
      native.penalties(stage.vocabSize, 64, 1.3, 0, 1),
      native.dist(seed),
    ],
  ],
  "no temperature in the order": [
    { samplers: ["top_k"], temperature: 0, topK: 30 },
    (_, seed) => [native.topK(30), native.dist(seed)],
  ],
  "mirostat 1 that learns nothing": [
    { mirostat: 1, mirostatTau: 3, mirostatEta: 0, topK: 1 },
    (stage, seed) => [
      native.temperature(1.5),
      native.mirostat(stage.vocabSize, seed, 3, 0),
    ],
  ],
  "mirostat 2 that learns nothing": [
    { mirostat: 2, mirostatTau: 3, mirostatEta: 0, topK: 1 },
    (_, seed) => [native.temperature(1.5), native.mirostatV2(seed, 3, 0)],
  ],
};

/** From the same logits each time, with the prompt and what was drawn before accepted. */
function drawByHand(stage: Stage, build: Build, positions: number): number[] {
  const drawn: number[] = [];
  for (let position = 0; position < positions; position++) {
    const chain = native.newChain();
    for (const sampler of build(stage, keyedSeed(SEED, position)))
      native.chainAdd(chain, sampler);
    for (const token of [...PROMPT, ...drawn])
      native.samplerAccept(chain, token);
    drawn.push(native.sample(chain, stage.context, -1));
    native.freeSampler(chain);
  }
  return drawn;
}

test("each sampler draws what llama.cpp's own chain draws, also with a grammar that refuses nothing", async (t) => {
  const stage = await withStage(t);
  for (const [name, [options, build]] of Object.entries(CASES)) {
    const expected = drawByHand(stage, build, 30);
    const triggers = [{ kind: "word" as const, text: "is not written" }];
    for (const grammar of [undefined, { gbnf: 'root ::= "a"', triggers }]) {
      const sampling = parseSampling({ ...WILD, ...options, grammar });
      using sampler = new Sampler(stage, sampling);
      sampler.accept(PROMPT, 0);
      const actual = expected.map(
        (_, position) => sampler.sample(stage, position).token,
      );
      assert.deepEqual(actual, expected, name);
    }
    const off = parseSampling({
      ...WILD,
      temperature: options.temperature ?? 1.5,
    });
    using without = new Sampler(stage, off);
    const plain = expected.map((_, i) => without.sample(stage, i).token);
    assert.notDeepEqual(plain, expected, `${name} makes a difference`);
  }
});

test("Mirostat learns from the surprise of each token, and goes on elsewhere with what it has learned", async (t) => {
  const stage = await withStage(t);
  const [tau, eta] = [3, 0.4];
  const options = { ...WILD, mirostat: 2, mirostatTau: tau, mirostatEta: eta };
  using sampler = new Sampler(stage, parseSampling(options));
  const logits = stage.logits();
  const weights = [...logits].map((logit) => Math.exp(logit / 1.5));
  const sum = weights.reduce((a, b) => a + b);
  let mu = 2 * tau;
  const drawn = Array.from({ length: 30 }, (_, position) => {
    const { token, mu: learned } = sampler.sample(stage, position);
    const kept = weights.filter((weight) => -Math.log2(weight / sum) <= mu);
    const share = weights[token]! / kept.reduce((a, b) => a + b, 0);
    mu -= eta * (-Math.log2(share) - tau);
    assert.ok(Math.abs(learned! - mu) < 1e-3, `${learned} for ${mu}`);
    return { token, mu: learned! };
  });
  assert.ok(Math.abs(mu - 2 * tau) > 0.1, "it learns");
  const start = { mu: drawn[14]!.mu };
  using other = new Sampler(stage, parseSampling(options), start);
  assert.deepEqual(
    Array.from({ length: 15 }, (_, i) => other.sample(stage, 15 + i)),
    drawn.slice(15),
  );
});

test("thoughts are ended after so many tokens, also in a session that goes on elsewhere", async (t) => {
  const stage = await withStage(t);
  const end = [...Buffer.from("</t>")].map((byte) => 3 + byte);
  const thoughts = { most: 6, close: "</t>", end };
  const plain = parseSampling(WILD);
  using free = new Sampler(stage, plain);
  const undisturbed = Array.from(
    { length: 20 },
    (_, position) => free.sample(stage, position).token,
  );
  const cases: Partial<SamplingOptions>[] = [
    {},
    { logprobs: 0 },
    { repeatPenalty: 1.2 },
  ];
  for (const more of cases) {
    const options = parseSampling({ ...WILD, ...more, thoughts });
    using sampler = new Sampler(stage, options);
    const drawn = Array.from(
      { length: 20 },
      (_, position) => sampler.sample(stage, position).token,
    );
    // A character that has begun is written to its end first.
    const start = drawn.indexOf(end[0]!, 6);
    assert.ok(start >= 6 && start < 10, drawn.join());
    assert.deepEqual(drawn.slice(start, start + 4), end);
    if (more.repeatPenalty === undefined)
      assert.deepEqual(
        drawn.toSpliced(start, 4),
        undisturbed.toSpliced(start, 4),
      );
    for (const at of [3, 8, 12]) {
      using other = new Sampler(stage, options, { promptTokens: 0 });
      other.accept(Int32Array.from(drawn.slice(0, at)), 0);
      const rest = drawn
        .slice(at)
        .map((_, i) => other.sample(stage, at + i).token);
      assert.deepEqual(rest, drawn.slice(at));
    }
  }
});

test("log probabilities are the log-softmax of the model's logits, the likeliest first", async (t) => {
  const stage = await withStage(t);
  const logits = [...stage.logits()];
  const sum = logits.reduce((all, logit) => all + Math.exp(logit), 0);
  const expected = logits
    .map((logit, token) => ({ token, logprob: logit - Math.log(sum) }))
    .toSorted((a, b) => b.logprob - a.logprob);
  for (const logprobs of [0, 1, 100]) {
    // Samplers change what is drawn, not what is told.
    const options = { ...WILD, logprobs, topK: 3, temperature: 0.1 };
    using sampler = new Sampler(stage, parseSampling(options));
    const { token, logprobs: told } = sampler.sample(stage, 0);
    const own = expected.find((one) => one.token === token)!;
    assert.ok(Math.abs(told!.logprob - own.logprob) < 1e-6);
    assert.deepEqual(
      told!.top.map((one) => one.token),
      expected.slice(0, logprobs).map((one) => one.token),
    );
    for (const [i, one] of told!.top.entries())
      assert.ok(Math.abs(one.logprob - expected[i]!.logprob) < 1e-6);
  }
  // After sampling: three tokens are left, each with its share.
  const after = { ...WILD, logprobsAfterSampling: true, logprobs: 5, topK: 3 };
  using sampler = new Sampler(stage, parseSampling(after));
  const { token, logprobs: told } = sampler.sample(stage, 0);
  const best = expected.slice(0, 3);
  const shares = best.map(({ logprob }) => Math.exp(logprob / 1.5));
  const all = shares.reduce((a, b) => a + b);
  assert.deepEqual(
    told!.top.map((one) => one.token),
    best.map((one) => one.token),
  );
  for (const [i, one] of told!.top.entries())
    assert.ok(Math.abs(Math.exp(one.logprob) - shares[i]! / all) < 1e-5);
  const its = told!.top.find((one) => one.token === token);
  assert.ok(Math.abs(its!.logprob - told!.logprob) < 1e-6);
  using greedy = new Sampler(
    stage,
    parseSampling({ ...after, temperature: 0 }),
  );
  assert.deepEqual(greedy.sample(stage, 0).logprobs, {
    logprob: 0,
    top: [{ token: best[0]!.token, logprob: 0 }],
  });
  using silent = new Sampler(stage, parseSampling(WILD));
  assert.deepEqual(Object.keys(silent.sample(stage, 0)), ["token"]);
});
