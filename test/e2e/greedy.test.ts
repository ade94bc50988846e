/** Greedy text through 1, 2, 4 and 8 node processes is llama.cpp's own on the whole file, token for token. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Llama } from "../support/llama.ts";
import {
  complete,
  DEMO_MODEL,
  startSwarm,
  STORIES,
  storiesMissing,
} from "../support/swarm.ts";

const MAX_TOKENS = 128;
/** </s> of both models: banned, so that every text has all its tokens. */
const END = 2;
const PROMPTS = [
  "Once upon a time",
  "Once upon a time there was a fox",
  "One day, a little girl",
  "The old man looked at the sea and",
  "Lily and Tom went to the park.",
  "In a small house near the river",
  "The dog was very happy because",
  "There was a big storm.",
  '"I am lost," said the bird.',
  "Every morning the baker",
  "A frog sat on a stone",
  "The moon was bright and the",
  "Mother said",
  "It was cold. The cat",
  "Far away, behind the hills,",
  "Anna found a key",
  "The children ran to the school and",
  "He had a red hat",
  "They all laughed",
  "What is a shard?",
];

const CONTEXT_LENGTH = 512;

/** What llama.cpp answers to each prompt; it is asked once for all swarms. */
const expected = new Map<string, readonly string[]>();

function answersOf(model: string): readonly string[] {
  const known = expected.get(model);
  if (known !== undefined) return known;
  using llama = new Llama(model, CONTEXT_LENGTH);
  const answers = PROMPTS.map((prompt) => {
    const tokens = llama.greedy(llama.tokenize(prompt), MAX_TOKENS, END);
    assert.equal(tokens.length, MAX_TOKENS);
    return llama.text(tokens);
  });
  expected.set(model, answers);
  return answers;
}

async function assertGreedy(model: string, nodes: number): Promise<void> {
  const answers = answersOf(model);
  const contextLength = CONTEXT_LENGTH;
  await using swarm = await startSwarm({ nodes, model, contextLength });
  // Two at a time: sessions beside each other must not change a token.
  let answered = 0;
  const waiting = PROMPTS.entries();
  const work = async (): Promise<void> => {
    for (const [i, prompt] of waiting) {
      const reply = await complete(swarm.apiUrl, prompt, MAX_TOKENS, END);
      assert.equal(reply.text, answers[i], prompt);
      answered++;
    }
  };
  await Promise.all([work(), work()]);
  assert.equal(answered, PROMPTS.length);
}

for (const nodes of [1, 2, 4, 8]) {
  test(`the demo model on ${nodes} nodes`, () =>
    assertGreedy(DEMO_MODEL, nodes));
}

for (const nodes of [1, 2, 3, 4, 5]) {
  test(`stories260K on ${nodes} nodes`, { skip: storiesMissing }, () =>
    assertGreedy(STORIES, nodes),
  );
}
