/**
 * A small agent through three nodes: 15,000 tokens of system prompt, ten tools, eight turns. How much sooner the first token of the eighth turn comes
 * than that of the first, which computes all; the prompt of the eighth is longer, so the ratio to computing that anew would be higher. Several agents one after
 * the other, each with a system prompt of its own; the medians count. The exit code is 1 under 10.
 *
 *     npm run build && npm exec -c 'node bench/agent.ts'
 *     npm exec -c 'node bench/agent.ts --agents 1 --kv bf16'
 */
import { parseArgs } from "node:util";
import { AGENT_TEMPLATE, runAgent, type Turn } from "../test/support/agent.ts";
import { StagedSwarm } from "../test/support/staged-swarm.ts";
import { median, report, round, withRandomModel } from "./support.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "3" },
    kv: { type: "string", default: "f16,bf16" },
    turns: { type: "string", default: "8" },
  },
});
const CONTEXT = 24_576;
const GOAL = 10;

await withRandomModel(
  CONTEXT,
  async (model) => {
    for (const kv of values.kv.split(",")) await measure(model, kv);
  },
  { chatTemplate: AGENT_TEMPLATE },
);

async function measure(model: string, kv: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const after = (end: () => void | Promise<void>): void => stack.defer(end);
  const how = ["--kv", kv, "--context", `${CONTEXT}`];
  const swarm = await StagedSwarm.start({ after }, model, ...how);
  // Links and data connections are made by the first session.
  await swarm.ask(
    Int32Array.from({ length: 50 }, (_, i) => 300 + i),
    1,
  );
  const turns = Number(values.turns);
  const agents: Turn[][] = [];
  for (let i = 0; i < Number(values.agents); i++)
    agents.push(
      await runAgent(swarm.apiUrl, {
        turns,
        // Some of the vocabulary's pieces are longer than a character: these are 15,000 tokens.
        systemChars: 20_000,
        name: `agent number ${i}`,
      }),
    );
  const msOf = (turn: number): number =>
    median(agents.map((taken) => taken[turn]?.firstTokenMs ?? Number.NaN));
  const [coldMs, ms] = [msOf(0), msOf(turns - 1)];
  const ok = coldMs / ms >= GOAL;
  if (!ok) process.exitCode = 1;
  report({
    bench: "agent",
    kv,
    turns,
    promptTokens: agents[0]?.at(-1)?.promptTokens,
    cachedTokens: agents[0]?.at(-1)?.cachedTokens,
    coldMs: round(coldMs, 0),
    ms: round(ms, 0),
    ratio: round(coldMs / ms, 1),
    ok,
  });
}
