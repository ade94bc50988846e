/** Models of six different families on three nodes, each a process: the greedy text over the API equals llama.cpp's on the whole file. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { TinyOptions } from "../support/certificate/settings.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Llama } from "../support/llama.ts";
import { byteTokenizer } from "../support/models.ts";
import { complete, startSwarm } from "../support/swarm.ts";

const FAMILIES: readonly [
  architecture: string,
  what: string,
  options?: TinyOptions,
][] = [
  [
    "gemma3",
    "scaled rows, a pattern of sliding windows",
    { layers: 9, keys: { "attention.sliding_window_pattern": undefined } },
  ],
  ["gpt-oss", "sliding windows, experts"],
  ["qwen3next", "recurrent layers beside attention", { layers: 12 }],
  ["lfm2", "nothing behind its layers", { tied: true }],
  ["deepseek2", "a dense layer before layers of experts"],
  ["qwen2vl", "positions in four parts"],
  ["olmoe", "a required head beside a table that nobody reads"],
];
const PROMPTS = [
  "Once upon a time",
  // Longer than the windows, and than a chunk of the prompt.
  "The old man looked at the sea and thought of the years. ".repeat(3),
  "z",
];
const TOKENS = 24;
const VOCABULARY = 320;
const CONTEXT_LENGTH = 256;
/** </s> is banned, so that every text has all its tokens. */
const END = 2;

for (const [architecture, what, options] of FAMILIES) {
  test(`${architecture} (${what}) on three nodes`, async (t) => {
    const model = join(await temporaryFolder(t), "model.gguf");
    await writeTinyModel(model, architecture, {
      ...options,
      sizes: { vocabulary: VOCABULARY },
      tokenizer: new Map(byteTokenizer(VOCABULARY)),
    });
    using llama = new Llama(model, CONTEXT_LENGTH);
    await using swarm = await startSwarm({
      model,
      nodes: 3,
      contextLength: CONTEXT_LENGTH,
      threads: 1,
    });
    const texts = new Set<string>();
    for (const prompt of PROMPTS) {
      const tokens = llama.greedy(llama.tokenize(prompt), TOKENS, [END]);
      const expected = llama.text(tokens);
      const reply = await complete(swarm.apiUrl, prompt, TOKENS, END);
      assert.equal(reply.tokens, TOKENS);
      assert.equal(reply.text, expected, prompt);
      texts.add(expected);
    }
    assert.equal(texts.size, PROMPTS.length, "each prompt has its own text");
  });
}
