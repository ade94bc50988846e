/** The grammar of each format in llama.cpp, and in the engine that holds replies to it: what a model writes is allowed from the trigger on. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ChatRequest } from "../../src/chat/index.ts";
import { replyGrammar } from "../../src/chat/formats/reply-grammar.ts";
import { GrammarRules } from "../../src/engine/grammar/index.ts";
import { loadNative } from "../../src/engine/native.ts";
import { StageVocabulary } from "../../src/engine/stage-vocabulary.ts";
import { Stage } from "../../src/engine/stage.ts";
import { readShard } from "../../src/model/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { writeRandomModel } from "../support/models.ts";
import { NativeGrammar } from "../support/native-grammar.ts";
import { readExamples, TAUGHT, TOOLS } from "./support.ts";

const AUTO: ChatRequest = {
  messages: [],
  toolChoice: "auto",
  parallelToolCalls: true,
};

/** Other ways to be held. */
const ANYHOW: Partial<ChatRequest>[] = [
  { toolChoice: "required" },
  { toolChoice: { name: "note" }, parallelToolCalls: false },
  { hold: { kind: "json" } },
  { hold: { kind: "schema", schema: { enum: ["a"] } } },
];

/** Its tokens are bytes. */
async function openModel(t: TestContext) {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { layers: 1, vocab: "bytes", vocabSize: 300 });
  const stage = new Stage(await readShard(path), {
    contextLength: 64,
    sessions: 1,
    batchTokens: 8,
    threads: 1,
  });
  t.after(() => stage[Symbol.dispose]());
  const vocab = loadNative().vocab(stage.model);
  return { vocab, shared: StageVocabulary.of(stage) };
}

const byteTokens = (text: string): number[] =>
  [...Buffer.from(text)].map((value) => 3 + value);

test("each format's grammar begins at its trigger and allows a call to its end", async (t) => {
  const { vocab, shared } = await openModel(t);
  let calls = 0;
  for (const { name, form, examples } of readExamples()) {
    const grammar = replyGrammar(form, TOOLS, AUTO);
    assert.ok(grammar !== undefined, name);
    const held = ANYHOW.map((more) =>
      replyGrammar(form, TOOLS, { ...AUTO, ...more }),
    );
    for (const one of [grammar, ...held]) {
      // Throws if llama.cpp refuses it.
      new NativeGrammar(vocab, one?.gbnf ?? "")[Symbol.dispose]();
    }
    for (const { what, reply, calls: said = [] } of examples) {
      // A call to gpt-oss's functions ends the reply.
      const isOne = form.kind !== "harmony" || said.length === 1;
      if (!TAUGHT.test(what) || !isOne) continue;
      const rules = new GrammarRules(grammar, shared.pieces, (text) =>
        shared.tokenOf(text),
      );
      const text = reply.replaceAll("<|call|>", "").trimEnd();
      for (const [at, token] of byteTokens(text).entries()) {
        assert.ok(rules.allows(token), `${name}, ${what}: byte ${at}`);
        rules.accept(token);
      }
      const others = byteTokens("x!").filter((token) => rules.allows(token));
      assert.deepEqual(others, [], `${name}, ${what}: it holds`);
      calls++;
    }
  }
  assert.ok(calls > 60);
});
