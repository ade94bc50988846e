/**
 * An engine that is stopped or hangs is found within seconds, in each phase, and its replies go on as if nothing had happened. A model whose prompts
 * take seconds, in two stages.
 */
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { engineOf } from "../support/fault.ts";
import { freeze, freezerMissing } from "../support/halted.ts";
import { type Holder, Replicas } from "../support/replicas.ts";
import { assertSame, Refusal } from "../support/reply.ts";
import {
  inPrompt,
  inReply,
  replaced,
  SHORT,
  slowModel,
  SlowSwarm,
  STAGES,
} from "../support/slow-prompts.ts";

/** When the node has found it, in ms. */
async function found(
  t: TestContext,
  victim: Holder,
  from: number,
  sinceMs: number,
) {
  const hung = await victim.member.when(
    ({ fields }) => fields["code"] === "ENGINE_HUNG",
    "the node to find it",
    from,
  );
  t.diagnostic(`found after ${hung.timeMs - sinceMs} ms`);
}

const PHASES = { "in a reply": inReply, "in a long prompt": inPrompt };

describe("two holders of each stage:", () => {
  const undo: (() => Promise<void>)[] = [];
  let swarm: SlowSwarm;
  let replicas: Replicas;

  before(async () => {
    swarm = await SlowSwarm.start({ after: (fn) => void undo.push(fn) });
    ({ replicas } = swarm);
  });
  after(async () => {
    for (const step of undo.reverse()) await step();
  });

  for (const [phase, begin] of Object.entries(PHASES))
    for (const stage of [0, 1])
      test(`the engine of stage ${stage} is stopped ${phase}: it goes on with the other`, async (t) => {
        const running = await begin(replicas, stage);
        const { reply, victim, engine } = running;
        const from = victim.member.mark();
        const stoppedMs = Date.now();
        process.kill(engine, "SIGSTOP");
        await found(t, victim, from, stoppedMs);
        const ended = await reply;
        assertSame(ended, await swarm.expected(running.how), phase);
        assert.ok(ended.recoveries > 0);
        await replaced(replicas, running);
      });

  test(
    "an engine that hangs in a reply is found too",
    { skip: freezerMissing },
    async (t) => {
      const running = await inReply(replicas, 1);
      const { reply, victim, engine } = running;
      const from = victim.member.mark();
      const frozenMs = Date.now();
      const thaw = freeze(engine);
      try {
        await found(t, victim, from, frozenMs);
        const ended = await reply;
        assertSame(ended, await swarm.expected(SHORT), "frozen");
        assert.ok(ended.recoveries > 0);
      } finally {
        thaw();
      }
      await replaced(replicas, running);
    },
  );

  test("an idle engine that is stopped is replaced before anybody needs it", async (t) => {
    const [victim] = replicas.holders as [Holder];
    const engine = engineOf(victim.member.pid);
    const from = victim.member.mark();
    const stoppedMs = Date.now();
    process.kill(engine, "SIGSTOP");
    await found(t, victim, from, stoppedMs);
    await replaced(replicas, { victim, engine });
  });
});

test("one holder, and no time to wait: the error names the stage, and the engine is replaced", async (t) => {
  const model = await slowModel(t);
  const gatewayFlags = ["--recovery-timeout", "0"];
  const options = { stages: STAGES, holders: 1, model, gatewayFlags };
  const replicas = await Replicas.start(t, options);
  for (const [phase, begin] of Object.entries(PHASES)) {
    const running = await begin(replicas, 1);
    const { reply, engine } = running;
    const stoppedMs = performance.now();
    process.kill(engine, "SIGSTOP");
    await assert.rejects(reply, (error: unknown) => {
      assert.ok(error instanceof Refusal, String(error));
      assert.equal(error.code, "stage_failed");
      assert.match(
        error.message,
        /stage 1 \(layers 2-3\) failed: shard 1 of 2 at peer \w{40,}: the engine is stopped/,
      );
      return true;
    });
    const tookMs = Math.round(performance.now() - stoppedMs);
    t.diagnostic(`${phase}: named after ${tookMs} ms`);
    assert.ok(tookMs < 60_000);
    await replaced(replicas, running);
  }
});
