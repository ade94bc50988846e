/**
 * What was computed is not computed again: prompts of 10,000 shared tokens and 100 of their own through three stages. The time to the first token,
 * cold and with the beginning kept; after the engine of the middle stage was killed in a reply and fed again by the stage before; and after all nodes
 * were started anew, from disk; a small other prompt came first, so that making connections does not count. Each figure is a ratio of medians to the
 * cold prompts of the same run. The exit code is 1 under 20.
 *
 * That the texts are those of a cold run is what test/e2e/prefix.test.ts proves.
 *
 *     npm run build && npm exec -c 'node bench/prefix.ts'
 *     npm exec -c 'node bench/prefix.ts --tokens 3000 --kv bf16 --rounds 1'
 */
import { parseArgs } from "node:util";
import { StagedSwarm } from "../test/support/staged-swarm.ts";
import { answering } from "../test/support/swarm.ts";
import { median, report, round, withRandomModel } from "./support.ts";

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "10000" },
    kv: { type: "string", default: "bf16,f16" },
    rounds: { type: "string", default: "3" },
  },
});
const LENGTH = Number(values.tokens);
const OWN_TOKENS = 100;
const CONTEXT = LENGTH + 2_048;
const GOAL = 20;
/** Long enough to be lost in the middle. */
const REPLY_TOKENS = 300;

await withRandomModel(CONTEXT, async (model) => {
  for (const kv of values.kv.split(",")) await measure(model, kv);
});

async function measure(model: string, kv: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const after = (end: () => void | Promise<void>): void => stack.defer(end);
  const how = ["--kv", kv, "--context", `${CONTEXT}`];
  const swarm = await StagedSwarm.start({ after }, model, ...how);
  const first = async (prompt: Int32Array): Promise<number> =>
    (await swarm.ask(prompt, 1)).ms;
  /** Links and data connections are made by the first session. */
  const warm = (): Promise<number> => first(promptOf(99, 0).subarray(0, 50));
  let own = 1;
  const again = async (): Promise<number> => {
    await warm();
    const times: number[] = [];
    for (let i = 0; i < Number(values.rounds); i++)
      times.push(await first(promptOf(0, ++own)));
    return median(times);
  };
  await warm();
  const cold: number[] = [];
  const kept: number[] = [];
  for (let i = 0; i < Number(values.rounds); i++) {
    cold.push(await first(promptOf(i, 0)));
    kept.push(await first(promptOf(i, 1)));
  }
  const coldMs = median(cold);
  tell("kept", kv, coldMs, median(kept));

  const reply = swarm.ask(promptOf(0, ++own), REPLY_TOKENS);
  await swarm.underWay();
  swarm.killEngine(1);
  const { recoveries } = await reply;
  if (recoveries === 0) throw new Error("the engine was killed too late");
  tell("a stage was lost", kv, coldMs, await again());

  await swarm.written(1);
  await Promise.all(swarm.nodes.map((node) => node.stop()));
  await Promise.all([0, 1, 2].map((i) => swarm.startNode(i)));
  await answering(swarm.apiUrl);
  tell("started anew", kv, coldMs, await again());
}

function tell(what: string, kv: string, coldMs: number, ms: number): void {
  const ratio = coldMs / ms;
  const ok = ratio >= GOAL;
  if (!ok) process.exitCode = 1;
  report({
    bench: "prefix",
    what,
    kv,
    tokens: LENGTH + OWN_TOKENS,
    coldMs: round(coldMs, 0),
    ms: round(ms, 0),
    ratio: round(ratio, 1),
    ok,
  });
}

/** Shared tokens of a kind, and own ones. */
function promptOf(shared: number, own: number): Int32Array {
  return Int32Array.from({ length: LENGTH + OWN_TOKENS }, (_, i) => {
    const kind = i < LENGTH ? shared : 1_000 + own;
    return 300 + ((i * 37 + kind * 101) % 3_000);
  });
}
