/**
 * A small agent's loop through three nodes: 15,000 tokens of system prompt, ten tools, eight turns. Each turn computes only what the one before had not;
 * bench/agent.ts measures how much sooner its first token comes.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { AGENT_TEMPLATE, runAgent } from "../support/agent.ts";
import { temporaryFolder } from "../support/folder.ts";
import { writeRandomModel } from "../support/models.ts";
import { StagedSwarm } from "../support/staged-swarm.ts";

const CONTEXT = 24_576;
/** More than a chunk of a prompt, a turn's call and its result. */
const TURN_TOKENS = 1_024;

test("an agent's later turns compute only what is new", async (t) => {
  const model = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(model, {
    layers: 3,
    contextLength: CONTEXT,
    vocab: "bytes",
    chatTemplate: AGENT_TEMPLATE,
  });
  const swarm = await StagedSwarm.start(t, model, "--context", `${CONTEXT}`);
  const turns = await runAgent(swarm.apiUrl, {
    turns: 8,
    systemChars: 15_000,
    name: "a guide",
  });
  const [first, ...later] = turns;
  assert.ok(first!.promptTokens > 15_000);
  assert.equal(first!.cachedTokens, 0);
  for (const { promptTokens, cachedTokens } of later)
    assert.ok(
      promptTokens - cachedTokens < TURN_TOKENS,
      `${cachedTokens} of ${promptTokens}`,
    );
});
