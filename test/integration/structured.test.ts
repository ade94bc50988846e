/**
 * Random JSON schemas through an engine with a model of random weights, which writes whatever the grammar lets it: every finished reply
 * fulfils its schema, and one that did not finish was cut at its length.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import * as fc from "fast-check";
import { Tokenizer } from "../../src/engine/index.ts";
import { schemaToGrammar } from "../../src/grammar/index.ts";
import { Flag } from "../../src/ring/index.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { EngineRing } from "../support/engine-ring.ts";
import { temporaryFolder } from "../support/folder.ts";
import { supportedSchemas } from "../support/schemas.ts";
import { jsonVocabulary } from "../support/vocabularies.ts";

const SCHEMAS = 200;
const MAX_TOKENS = 160;
const PROMPT = [1, 2, 3, 4];

interface Writer {
  /** A reply, and whether it ended by itself. */
  write: (
    gbnf: string,
    seed: number,
  ) => Promise<[text: string, isDone: boolean]>;
}

async function startWriter(t: TestContext): Promise<Writer> {
  const path = join(await temporaryFolder(t), "model.gguf");
  const { size, metadata } = jsonVocabulary();
  await writeTinyModel(path, "llama", {
    layers: 2,
    sizes: { width: 64, forward: 64, vocabulary: size },
    tokenizer: metadata,
  });
  const tokenizer = await Tokenizer.load(path);
  t.after(() => tokenizer[Symbol.asyncDispose]());
  const ring = await EngineRing.start({ paths: [path] });
  t.after(() => ring[Symbol.asyncDispose]());
  return {
    write: async (gbnf, seed) => {
      const { tokens, finish } = await ring.generate({
        prompt: PROMPT,
        maxTokens: MAX_TOKENS,
        sampling: { temperature: 1, seed, logitBias: [], grammar: { gbnf } },
      });
      const pieces = tokens.map((token) => tokenizer.piece(token));
      const isDone = finish === Flag.Stop;
      assert.ok(isDone || finish === Flag.Length);
      return [Buffer.concat(pieces).toString(), isDone];
    },
  };
}

test(`${SCHEMAS} random schemas hold a model of random weights`, async (t) => {
  const { write } = await startWriter(t);
  const ajv = new Ajv2020({ strict: false, logger: false });
  addFormats.default(ajv);
  let finished = 0;
  const schemas = fc.sample(supportedSchemas, { seed: 3, numRuns: SCHEMAS });
  for (const [seed, schema] of schemas.entries()) {
    const [text, isDone] = await write(schemaToGrammar(schema), seed);
    if (!isDone) continue;
    finished += 1;
    assert.ok(
      ajv.validate(schema, JSON.parse(text)),
      `${JSON.stringify(schema)} is not fulfilled by ${text}: ${ajv.errorsText()}`,
    );
  }
  assert.ok(finished > SCHEMAS / 2, `only ${finished} replies finished`);
});
