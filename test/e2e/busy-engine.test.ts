/** An engine that only seems to hang is left alone: one that gets little of the processor, and one that was stopped together with its node. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { vitalsOf } from "../../src/engine/vitals.ts";
import { engineOf } from "../support/fault.ts";
import { quotaMissing, throttle } from "../support/halted.ts";
import { type Holder, type Replicas, statusOf } from "../support/replicas.ts";
import { assertSame } from "../support/reply.ts";
import { computedBy, inPrompt, SlowSwarm } from "../support/slow-prompts.ts";
import { until } from "../support/until.ts";

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

  test(
    "an engine that computes one chunk for many seconds, because it gets little of the processor, is left alone",
    { skip: quotaMissing },
    async () => {
      const { how, reply, victim, engine } = await inPrompt(replicas, 0);
      const release = throttle(engine, 0.005);
      try {
        const used = vitalsOf(engine)!.used;
        // Longer than anything that hangs is left alone.
        let [tokens, sinceMs] = [0, 0];
        await until("a chunk that takes 15 s", async () => {
          const now = await computedBy(victim);
          if (now !== tokens) [tokens, sinceMs] = [now, performance.now()];
          return performance.now() - sinceMs > 15_000;
        });
        assert.notEqual(vitalsOf(engine)?.used, used, "it computed");
        const running = await replicas.session(({ tokens: n }) => n === 0);
        assert.equal(running?.state, "prefill");
      } finally {
        release();
      }
      const ended = await reply;
      assertSame(ended, await swarm.expected(how), "slow");
      assert.equal(ended.recoveries, 0);
      assert.equal(engineOf(victim.member.pid), engine);
    },
  );

  test("a node that was stopped together with its engine goes on with it", async () => {
    const [victim] = replicas.holders as [Holder];
    const { pid } = victim.member;
    const engine = engineOf(pid);
    process.kill(pid, "SIGSTOP");
    process.kill(engine, "SIGSTOP");
    try {
      await until("the gateway to lose it", async () => {
        const [cluster] = (await replicas.status()).clusters;
        return cluster!.members.every(({ peer }) => peer !== victim.peer);
      });
    } finally {
      process.kill(pid, "SIGCONT");
      process.kill(engine, "SIGCONT");
    }
    await replicas.whole();
    const { shards } = await statusOf(victim);
    assert.equal(shards[0]!.state, "ready");
    assert.equal(engineOf(pid), engine);
  });
});
