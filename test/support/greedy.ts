/** The greedy text of a cluster equals llama.cpp's on the whole file, token for token. */
import assert from "node:assert/strict";
import { Llama } from "./llama.ts";
import { complete } from "./swarm.ts";

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

/** Of llama.cpp's context and of each node: both compute alike. */
export const CONTEXT_LENGTH = 512;

/** What llama.cpp answers to each prompt; it is asked once for all swarms. */
const expected = new Map<string, readonly string[]>();

function answersOf(model: string, tokens: number): readonly string[] {
  const known = expected.get(model);
  if (known !== undefined) return known;
  using llama = new Llama(model, CONTEXT_LENGTH);
  const answers = PROMPTS.map((prompt) => {
    const answer = llama.greedy(llama.tokenize(prompt), tokens, [END]);
    assert.equal(answer.length, tokens);
    return llama.text(answer);
  });
  expected.set(model, answers);
  return answers;
}

/** The swarm at `apiUrl` serves `model`, with CONTEXT_LENGTH at each node. */
export async function assertGreedy(
  model: string,
  apiUrl: string,
  /** Of each text; always the same for a model. */
  tokens = 128,
): Promise<void> {
  const answers = answersOf(model, tokens);
  // Two at a time: sessions beside each other must not change a token.
  let answered = 0;
  const waiting = PROMPTS.entries();
  const work = async (): Promise<void> => {
    for (const [i, prompt] of waiting) {
      const reply = await complete(apiUrl, prompt, tokens, END);
      assert.equal(reply.text, answers[i], prompt);
      answered++;
    }
  };
  await Promise.all([work(), work()]);
  assert.equal(answered, PROMPTS.length);
}
