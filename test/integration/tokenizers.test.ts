/** A model with a tokenizer of each kind that llama.cpp has loads, and its text goes through the tokenizer and back. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { checkModel, Tokenizer } from "../../src/engine/index.ts";
import { loadNative } from "../../src/engine/native.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { temporaryFolder } from "../support/folder.ts";
import { VOCABULARIES } from "../support/vocabularies.ts";

const PLAIN = { addSpecial: false, parseSpecial: false } as const;

/** `llama_vocab_type`, from the library itself. */
function kindOf(path: string): number {
  const native = loadNative();
  const params = { ...native.modelDefaultParams(), vocab_only: true };
  const model = native.loadModel(path, params);
  const kind = native.vocabType(native.vocab(model));
  native.freeModel(model);
  return kind;
}

for (const [i, vocabulary] of VOCABULARIES.entries()) {
  const { kind, size, metadata, whole, texts, changed = {} } = vocabulary;
  test(`a tokenizer of the kind ${kind} gives a text back`, async (t) => {
    const path = join(await temporaryFolder(t), "model.gguf");
    await writeTinyModel(path, "llama", {
      layers: 2,
      sizes: { width: 64, forward: 64, vocabulary: size },
      tokenizer: metadata,
    });
    assert.equal(kindOf(path), i + 1);
    assert.equal(await checkModel(path), true);
    await using tokenizer = await Tokenizer.load(path);
    assert.equal(tokenizer.vocabSize, size);
    const through = async (text: string): Promise<string> => {
      const tokens = await tokenizer.encode(text, PLAIN);
      assert.ok(tokens.length > 0);
      const bytes = [...tokens].map((token) => tokenizer.piece(token));
      // Some kinds put a space before the first word.
      return Buffer.concat(bytes).toString().replace(/^ /, "");
    };
    for (const text of texts) assert.equal(await through(text), text);
    for (const [text, becomes] of Object.entries(changed))
      assert.equal(await through(text), becomes);
    assert.equal((await tokenizer.encode(whole, PLAIN)).length, 1);
    const begun = await tokenizer.encode(whole, {
      addSpecial: true,
      parseSpecial: false,
    });
    assert.equal(tokenizer.piece(begun[0]!).length === 0, vocabulary.begins);
    const ends = Array.from({ length: size }, (_, token) => token).filter(
      (token) => tokenizer.isEndOfGeneration(token),
    );
    assert.ok(ends.length > 0 && tokenizer.eosText.length > 0);
  });
}
