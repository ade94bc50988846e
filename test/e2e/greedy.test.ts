/**
 * The greedy text of 1 to 8 nodes equals llama.cpp's on the whole file, token for token: 20 prompts of 128 tokens each, 64 with stories260K. status.test.ts and
 * from-seeder.test.ts test two and four nodes of the demo model in their own swarms.
 */
import { test } from "node:test";
import { assertGreedy, CONTEXT_LENGTH } from "../support/greedy.ts";
import { startSwarmHere } from "../support/swarm-here.ts";
import {
  DEMO_MODEL,
  startSwarm,
  STORIES,
  storiesMissing,
} from "../support/swarm.ts";

for (const nodes of [1, 8]) {
  test(`the demo model on ${nodes} nodes, each a process`, async () => {
    const contextLength = CONTEXT_LENGTH;
    await using swarm = await startSwarm({ nodes, contextLength, threads: 1 });
    await assertGreedy(DEMO_MODEL, swarm.apiUrl);
  });
}

for (const nodes of [1, 2, 3, 4, 5]) {
  test(
    `stories260K on ${nodes} nodes, whose engines are processes`,
    { skip: storiesMissing },
    async (t) => {
      const contextLength = CONTEXT_LENGTH;
      const model = STORIES;
      const url = await startSwarmHere(t, { model, nodes, contextLength });
      await assertGreedy(model, url, 64);
    },
  );
}
