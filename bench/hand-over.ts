/**
 * What a client waits for when a stage leaves in the middle of a reply, after a long prompt: handed over by a node that drains, against fed again
 * by the stage before after its engine was killed, in turns. `gapMs`: the longest time between two pieces of text; `usualMs`: between two others;
 * `goneMs`: from the signal until the node's process has ended. Medians, and each time's figures.
 *
 *     npm run build && npm exec -c 'node bench/hand-over.ts'
 *     npm exec -c 'node bench/hand-over.ts --tokens 3000 --kv f16 --rounds 1'
 */
import { parseArgs } from "node:util";
import { engineOf } from "../test/support/fault.ts";
import { Replicas } from "../test/support/replicas.ts";
import { ask } from "../test/support/reply.ts";
import { BANNED } from "../test/support/staged-swarm.ts";
import { until } from "../test/support/until.ts";
import { median, report, round, withRandomModel } from "./support.ts";

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "8000" },
    kv: { type: "string", default: "bf16,f16" },
    rounds: { type: "string", default: "3" },
  },
});
const PROMPT_TOKENS = Number(values.tokens);
const REPLY_TOKENS = 400;
const CONTEXT = PROMPT_TOKENS + 1_024;
const MIDDLE = 1;
/** Before it leaves. */
const FIRST_TOKENS = 50;

await withRandomModel(CONTEXT, async (model) => {
  for (const kv of values.kv.split(",")) await measure(model, kv);
});

interface Left {
  gapMs: number;
  usualMs: number;
  goneMs: number;
}

async function measure(model: string, kv: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const after = (end: () => void | Promise<void>): void => stack.defer(end);
  const nodeFlags = ["--kv", kv, "--context", `${CONTEXT}`];
  const swarm = { stages: 3, holders: 2, model, nodeFlags };
  const replicas = await Replicas.start({ after }, swarm);
  const drained: Left[] = [];
  const killed: Left[] = [];
  for (let i = 0; i < Number(values.rounds); i++) {
    drained.push(await leave(replicas, 2 * i, true));
    killed.push(await leave(replicas, 2 * i + 1, false));
  }
  tell("handed over", kv, drained);
  tell("replayed", kv, killed);
}

/** A reply of which the middle stage is lost. */
async function leave(
  replicas: Replicas,
  kind: number,
  drains: boolean,
): Promise<Left> {
  const prompt = Array.from(
    { length: PROMPT_TOKENS },
    (_, i) => 300 + ((i * 37 + kind * 101) % 3_000),
  );
  let pieces = 0;
  const reply = ask(
    replicas,
    {
      prompt,
      max_tokens: REPLY_TOKENS,
      temperature: 0,
      logit_bias: Object.fromEntries(BANNED.map((id) => [id, -100])),
    },
    {
      stream: true,
      signal: AbortSignal.timeout(600_000),
      onPiece: (count) => (pieces = count),
    },
  );
  await until("a reply to begin", async () => pieces >= FIRST_TOKENS, 5);
  const session = await replicas.session(({ tokens }) => tokens > 0);
  const holder = replicas.holder(session?.route[MIDDLE]?.peer ?? "");
  const leftMs = performance.now();
  let goneMs = 0;
  let gone: Promise<void> | undefined;
  if (drains)
    gone = holder.member
      .stop()
      .then(() => void (goneMs = performance.now() - leftMs));
  else process.kill(engineOf(holder.member.pid), "SIGKILL");
  const { cameMs, recoveries } = await reply;
  if (recoveries === 0) throw new Error("the reply did not notice");
  await gone;
  if (drains) await replicas.restart(holder);
  await replicas.whole();
  const gaps = cameMs.slice(1).map((ms, i) => ms - (cameMs[i] ?? ms));
  const gapMs = Math.max(...gaps.slice(FIRST_TOKENS));
  return { gapMs, usualMs: median(gaps), goneMs };
}

function tell(what: string, kv: string, times: readonly Left[]): void {
  const of = (key: keyof Left): number =>
    round(median(times.map((t) => t[key])), 0);
  report({
    bench: "hand-over",
    what,
    kv,
    tokens: PROMPT_TOKENS,
    gapMs: of("gapMs"),
    usualMs: of("usualMs"),
    goneMs: of("goneMs"),
    each: times.map(({ gapMs }) => gapMs).join(" "),
  });
}
