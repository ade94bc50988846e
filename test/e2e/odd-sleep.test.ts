/**
 * A machine sleeps for a minute: node and engine stop together and go on together. Meanwhile replies go around it or end with a named error; after
 * it wakes it is what it was, with the same engine, and nothing that it remembers of before counts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ShoalEvent, sleep } from "../../src/lib/index.ts";
import type { SessionStatus } from "../../src/status/index.ts";
import { engineOf } from "../support/fault.ts";
import { assertNoSessions } from "../support/leftovers.ts";
import { midReply } from "../support/mid-reply.ts";
import { type Holder, Replicas, statusOf } from "../support/replicas.ts";
import {
  type Ask,
  ask,
  assertSame,
  NO_END,
  Refusal,
} from "../support/reply.ts";
import { until } from "../support/until.ts";

const ASLEEP_MS = 60_000;
/** How long a reply waits here for a stage that nobody has. */
const RECOVERY_S = 20;
/** And until its loss is noticed, and the reply has ended. */
const ENDED_MS = 60_000;

const SHORT: Ask = {
  prompt: "Once upon a time",
  max_tokens: 12,
  temperature: 0,
};
const LONG: Ask = { ...SHORT, max_tokens: 400, logit_bias: NO_END };

interface Sleeper {
  engine: number;
  /** Where what it says from now on begins. */
  mark: number;
  aMinute: () => Promise<void>;
  wake: () => void;
}

function sends({ member }: Holder, signal: NodeJS.Signals): void {
  process.kill(member.pid, signal);
  process.kill(engineOf(member.pid), signal);
}

function putToSleep(holder: Holder): Sleeper {
  const engine = engineOf(holder.member.pid);
  const sinceMs = performance.now();
  sends(holder, "SIGSTOP");
  return {
    engine,
    mark: holder.member.mark(),
    aMinute: () => sleep(ASLEEP_MS - (performance.now() - sinceMs)),
    wake: () => {
      holder.startedMs = Date.now();
      sends(holder, "SIGCONT");
    },
  };
}

/** It says nothing of a fault of its own, and computes with the engine that slept. */
function assertWell(holder: Holder, { engine, mark }: Sleeper): void {
  assert.equal(engineOf(holder.member.pid), engine);
  const ill = ({ level, tag }: ShoalEvent): boolean =>
    level === "error" || tag === "ENGINE" || tag === "PROCESS";
  assert.deepEqual(holder.member.seen.slice(mark).filter(ill), []);
}

test("a machine that holds a stage sleeps for a minute", async (t) => {
  const replicas = await Replicas.start(t, {
    stages: 2,
    holders: 2,
    gatewayFlags: ["--recovery-timeout", String(RECOVERY_S)],
  });
  const signal = AbortSignal.timeout(600_000);
  const say = async (how: Ask): ReturnType<typeof ask> =>
    await ask(replicas, how, { stream: true, signal });
  const [short, long] = [await say(SHORT), await say(LONG)];
  const memberOf = async (peer: string): Promise<string | undefined> => {
    const [cluster] = (await replicas.status()).clusters;
    return cluster?.members.find((member) => member.peer === peer)?.state;
  };
  const begin = async (): Promise<{
    reply: Promise<unknown>;
    holder: Holder;
  }> => {
    const isBegun = ({ tokens }: SessionStatus): boolean => tokens > 0;
    const { reply, session } = await midReply(
      replicas,
      () => say(LONG),
      isBegun,
    );
    return { reply, holder: replicas.holder(session.route[1]!.peer) };
  };

  await t.test(
    "its shard has another holder: replies go around it, then it serves again",
    async (t) => {
      const { reply, holder } = await begin();
      const sleeper = putToSleep(holder);
      const startedMs = performance.now();
      const sinceMs = (): number => Math.round(performance.now() - startedMs);
      assertSame((await reply) as typeof long, long, "the reply under way");
      t.diagnostic(`the reply under way was whole after ${sinceMs()} ms`);
      await until("it to be missed", async () => {
        return (await memberOf(holder.peer)) === undefined;
      });
      t.diagnostic(`missed after ${sinceMs()} ms`);
      // It does not hear that another goes, and a third comes.
      const gone = replicas.holders.find(({ stage }) => stage === 0)!;
      await gone.member.kill();
      replicas.forget(gone);
      await replicas.add(0);
      assertSame(await say(SHORT), short, "a prompt meanwhile");
      await sleeper.aMinute();
      sleeper.wake();
      const wokenMs = performance.now();
      await replicas.whole();
      t.diagnostic(
        `back ${Math.round(performance.now() - wokenMs)} ms after it woke`,
      );
      assert.equal(await memberOf(gone.peer), undefined, "what it remembered");
      const [own] = (await statusOf(holder)).clusters;
      assert.ok(!own?.members.some(({ peer }) => peer === gone.peer));
      assertWell(holder, sleeper);
      const other = replicas.holders.find(
        (one) => one.stage === 1 && one !== holder,
      )!;
      await other.member.kill();
      replicas.forget(other);
      assertSame(await say(LONG), long, "a reply through it");
      await assertNoSessions(replicas);
      assertWell(holder, sleeper);
    },
  );

  await t.test(
    "nobody else has its shard: a reply ends with a named error, and it serves when it wakes",
    async (t) => {
      const { reply, holder } = await begin();
      const sleeper = putToSleep(holder);
      const startedMs = performance.now();
      await assert.rejects(reply, (error) => {
        const tookMs = Math.round(performance.now() - startedMs);
        t.diagnostic(`ended after ${tookMs} ms: ${String(error)}`);
        assert.ok(error instanceof Refusal, String(error));
        assert.match(error.code, /^(stage_lost|deadline|swarm_not_ready)$/);
        assert.match(error.message, /stage 1|shard 1/);
        assert.ok(tookMs < ENDED_MS, `${tookMs} ms`);
        return true;
      });
      sleeper.wake();
      await replicas.whole();
      assertSame(await say(LONG), long, "a reply after it woke");
      await assertNoSessions(replicas);
      assertWell(holder, sleeper);
    },
  );
});
