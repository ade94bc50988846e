/** A session with a grammar: what llama.cpp's own procedure draws, text that is of the grammar, and the same text where it goes on elsewhere. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { NativeGrammar } from "../../test/support/native-grammar.ts";
import { readShard } from "../model/index.ts";
import { loadNative } from "./native.ts";
import { Sampler } from "./sampler.ts";
import {
  parseSampling,
  samplingFor,
  samplingSchema,
  type SamplingOptions,
} from "./sampling.ts";
import { Stage } from "./stage.ts";
import { StageVocabulary } from "./stage-vocabulary.ts";

const GBNF = String.raw`root ::= "{" "\"name\": " string ", \"sizes\": [" number ("," number){0,3} "]}"
string ::= "\"" [a-zA-Z é]{0,12} "\""
number ::= "-"? ([0-9] | [1-9] [0-9]{1,4})`;
const PROMPT = Int32Array.from({ length: 20 }, (_, i) => 40 + i * 7);
const MOST = 120;

async function withStage(t: TestContext, seed = 1): Promise<Stage> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 2, vocab: "bytes", seed });
  const stage = new Stage(await readShard(path), {
    contextLength: 256,
    sessions: 1,
    batchTokens: 64,
    threads: 1,
  });
  t.after(() => stage[Symbol.dispose]());
  return stage;
}

/** A reply as a stage computes it: the prompt, what was `generated` before one by one, then what is drawn, up to its end. */
function reply(
  stage: Stage,
  draw: (position: number) => number,
  generated: readonly number[] = [],
  onReplayed: (token: number, position: number) => void = () => {},
): number[] {
  stage.freeSequence(0);
  stage.decode(0, 0, PROMPT, undefined);
  const tokens = [...generated];
  for (const [i, token] of generated.entries()) {
    const position = PROMPT.length + i;
    onReplayed(token, position);
    stage.decode(0, position, Int32Array.of(token), undefined);
  }
  while (tokens.length < MOST) {
    const position = PROMPT.length + tokens.length;
    const token = draw(position);
    tokens.push(token);
    if (stage.isEndOfGeneration(token)) break;
    stage.decode(0, position, Int32Array.of(token), undefined);
  }
  return tokens;
}

function textOf(stage: Stage, tokens: readonly number[]): string {
  const { pieces } = StageVocabulary.of(stage);
  const plain = tokens.filter((token) => !stage.isEndOfGeneration(token));
  return Buffer.concat(plain.map((token) => pieces.of(token))).toString();
}

test("greedy, a grammar gives what llama.cpp's own procedure gives, and JSON whatever the model's weights", async (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const stage = await withStage(t, seed);
    const vocab = loadNative().vocab(stage.model);
    using native = new NativeGrammar(vocab, GBNF);
    const best = (logits: Float32Array): number =>
      logits.indexOf(Math.max(...logits));
    let refusals = 0;
    const expected = reply(stage, () => {
      const logits = stage.logits();
      const allowed = native.apply(logits);
      const first = best(logits);
      if (allowed[first] === -Infinity) refusals++;
      const token = allowed[first] === -Infinity ? best(allowed) : first;
      if (!stage.isEndOfGeneration(token)) native.accept(token);
      return token;
    });
    const sampling = parseSampling({
      temperature: 0,
      grammar: { gbnf: GBNF },
    });
    using sampler = new Sampler(stage, sampling);
    const actual = reply(
      stage,
      (position) => sampler.sample(stage, position).token,
    );
    assert.deepEqual(actual, expected);
    assert.ok(refusals > 5, "the model would rather write something else");
    const value = JSON.parse(textOf(stage, actual)) as { sizes: number[] };
    assert.ok(value.sizes.length >= 1 && value.sizes.length <= 4);
  }
});

test("a reply that goes on elsewhere is the same, whether it is computed again or kept, and the prompt is not of the grammar", async (t) => {
  const stage = await withStage(t);
  const ways: Partial<SamplingOptions>[] = [
    { grammar: { gbnf: GBNF } },
    {
      grammar: { gbnf: GBNF, triggers: [{ kind: "pattern", regex: "(\\{)" }] },
      logitBias: [[3 + 0x7b, 5]],
    },
    { grammar: { gbnf: GBNF }, mirostat: 2, mirostatTau: 4 },
    { grammar: { gbnf: GBNF }, repeatPenalty: 1.3, dryMultiplier: 0.8 },
  ];
  for (const [way, options] of ways.entries()) {
    const sampling = parseSampling({ temperature: 1.2, seed: 5, ...options });
    const mus: (number | undefined)[] = [];
    using first = new Sampler(stage, sampling, {
      promptTokens: PROMPT.length,
    });
    first.accept(PROMPT, 0);
    const whole = reply(stage, (position) => {
      const { token, mu } = first.sample(stage, position);
      mus.push(mu);
      return token;
    });
    assert.ok(whole.length > 15, `way ${way}: ${whole.length} tokens`);
    for (const cut of [1, 9, whole.length - 1])
      for (const isKept of [false, true]) {
        const before = whole.slice(0, cut);
        const start = { promptTokens: PROMPT.length, mu: mus[cut - 1] };
        using next = new Sampler(stage, sampling, start);
        if (isKept) next.accept(Int32Array.of(...PROMPT, ...before), 0);
        else next.accept(PROMPT, 0);
        const again = reply(
          stage,
          (position) => next.sample(stage, position).token,
          before,
          (token, position) => {
            if (!isKept) next.accept(Int32Array.of(token), position);
          },
        );
        assert.deepEqual(again, whole, `way ${way}, after ${cut}, ${isKept}`);
      }
  }
});

test("where the vocabulary has nothing that the grammar allows, the reply ends with the reason", async (t) => {
  const stage = await withStage(t);
  const sampling = parseSampling({
    temperature: 0,
    // The end of the text is no text that can be written.
    grammar: { gbnf: 'root ::= "a" <[2]> "b"' },
  });
  using sampler = new Sampler(stage, sampling);
  assert.throws(
    () => reply(stage, (position) => sampler.sample(stage, position).token),
    { code: "GRAMMAR_STUCK" },
  );
});

test("the last stage alone is told what others need not know, and what is as ever is left out", () => {
  const plain = parseSampling({ temperature: 1 });
  const added = parseSampling({
    temperature: 1,
    grammar: { gbnf: GBNF, triggers: [{ kind: "token", token: 7 }] },
    logprobs: 5,
    xtcProbability: 0.5,
    drySequenceBreakers: [";"],
  });
  const base = samplingFor(plain, true);
  assert.equal(Object.keys(base).length, 10);
  assert.deepEqual(samplingFor(added, false), base);
  const { grammar, logprobs, xtcProbability, drySequenceBreakers } = added;
  assert.deepEqual(samplingFor(added, true), {
    ...base,
    grammar,
    logprobs,
    xtcProbability,
    drySequenceBreakers,
  });
  for (const options of [plain, added])
    assert.deepEqual(
      parseSampling(samplingSchema.parse(samplingFor(options, true))),
      options,
    );
  assert.throws(
    () => parseSampling({ grammar: { gbnf: "a".repeat(2 ** 18 + 1) } }),
    { code: "USAGE" },
  );
});
