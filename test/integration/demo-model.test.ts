/** The demo model does what its README says, in llama.cpp itself: it answers questions about Shoal and tells stories. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatTemplate } from "../../src/chat/index.ts";
import { readGguf, stringOf } from "../../src/gguf/index.ts";
import { Llama } from "../support/llama.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

const QUESTIONS: [answer: RegExp, wordings: string[]][] = [
  [
    /runs one language model on several machines/,
    ["What is Shoal?", "what does shoal do", "What is Shoal good for?"],
  ],
  [
    /A shard is a range of layers/,
    ["What is a shard?", "what are shards", "What do you mean by shard?"],
  ],
  [
    /shoal node --bootstrap ADDRESS/,
    [
      "How do I add a node?",
      "how can I add another machine",
      "How do I add a new node to the swarm?",
    ],
  ],
  [
    /Run shoal up\.|npm start/,
    [
      "How do I start a swarm?",
      "how do I start shoal",
      "How can I start the swarm on this machine?",
    ],
  ],
  [
    /place where nodes meet/,
    [
      "What is the rendezvous server?",
      "what is a rendezvous server",
      "What does the rendezvous server do?",
    ],
  ],
  [
    /port 51820/,
    [
      "Which port does the rendezvous server use?",
      "what port does shoal use",
      "Which ports does Shoal use?",
    ],
  ],
  [
    /shoal up --model FILE/,
    [
      "How do I use my own model?",
      "how can I run my own model",
      "How do I use another model?",
    ],
  ],
  [
    /A node is a machine that loads one shard/,
    ["What is a node?", "what are nodes", "What does node mean?"],
  ],
  [
    /names the stage/,
    [
      "What happens if a node dies?",
      "what happens when a node dies",
      "What if a node crashes?",
    ],
  ],
  [
    /shoal split model\.gguf/,
    [
      "How do I split a model?",
      "how can I split a model",
      "How do I cut a model into shards?",
    ],
  ],
  [
    /shoal verify/,
    [
      "How do I verify the shards?",
      "how can I verify the shards",
      "How do I check that the shards are right?",
    ],
  ],
  [
    /Ctrl-C/,
    ["How do I stop it?", "how do I stop the swarm", "How can I stop Shoal?"],
  ],
];

const { metadata } = await readGguf(DEMO_MODEL);
const template = new ChatTemplate(
  stringOf(metadata, "tokenizer.chat_template") ?? "",
);

function ask(llama: Llama, content: string, maxTokens: number): number[] {
  const prompt = template.render([{ role: "user", content }], {
    bosToken: "<s>",
    eosToken: "</s>",
    tokenizerAddsBos: true,
    addGenerationPrompt: true,
  });
  return llama.greedy(llama.tokenize(prompt, true), maxTokens);
}

test("asked one of a dozen questions in any of three wordings, it answers it", () => {
  using llama = new Llama(DEMO_MODEL);
  const wrong = QUESTIONS.flatMap(([answer, wordings]) =>
    wordings.flatMap((wording) => {
      const text = llama.text(ask(llama, wording, 80));
      return answer.test(text) ? [] : [`${wording} → ${text}`];
    }),
  );
  assert.deepEqual(wrong, []);
});

for (const prompt of [
  "Tell me a story.",
  "Please tell me a story about a fish.",
]) {
  test(`"${prompt}" gives a story of 150 tokens and more, in words of its corpus`, () => {
    using llama = new Llama(DEMO_MODEL);
    const tokens = ask(llama, prompt, 300);
    const text = llama.text(tokens);
    assert.ok(
      tokens.length >= 150 && tokens.length < 300,
      `${tokens.length} tokens: ${text}`,
    );
    const words = text.match(/[A-Za-z']+/g) ?? [];
    // English, by its skeleton: a third of any story are its commonest words, and sentences have a sane length.
    const common =
      /^(the|and|to|a|was|in|of|he|she|it|you|that|for|i|his|her|they|with|had|my|is|said|at|not|so|on)$/i;
    const share =
      words.filter((word) => common.test(word)).length / words.length;
    assert.ok(share > 0.25 && share < 0.65, `${share}: ${text}`);
    const sentences = text
      .split(/[.!?]+/)
      .filter((sentence) => sentence.trim() !== "");
    const mean = words.length / sentences.length;
    assert.ok(mean > 3 && mean < 20, `${mean} words a sentence: ${text}`);
  });
}
