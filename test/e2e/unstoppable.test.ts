/**
 * A reply outlives its machines: at a random token a random stage of its route is lost, and the client gets the text of an undisturbed run, no
 * token twice, and the true end. Three stages with two holders each; then one stage whose only holder comes back. `SEED=…` repeats a run.
 */
import { after, before, describe, test, type TestContext } from "node:test";
import assert from "node:assert/strict";
import { type Case, Disturber, type Way, WAYS } from "../support/disturbed.ts";
import { type FaultName, FAULTS } from "../support/fault.ts";
import { Lateness } from "../support/lateness.ts";
import { midReply } from "../support/mid-reply.ts";
import { namespacesMissing, TestNetwork } from "../support/namespaces.ts";
import { Random, shuffled } from "../support/random.ts";
import { Replicas } from "../support/replicas.ts";
import { assertSame, streamReply } from "../support/reply.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 100_000);
const STAGES = 3;

/** Each kind, in an order that the seed gives, with every way to ask. */
function casesOf(faults: readonly FaultName[]): Case[] {
  const mixed = <T>(values: readonly T[], purpose: string): T[] =>
    shuffled(
      faults.map((_, i) => values[i % values.length]!),
      new Random(SEED, purpose).next(),
    );
  const ways = mixed<Way>(WAYS, "ways");
  const streams = mixed([true, true, false], "streams");
  const sessions = mixed([1, 1, 1, 4], "sessions");
  return mixed(faults, "faults").map((fault, i) => ({
    fault,
    way: ways[i]!,
    stream: streams[i]!,
    sessions: sessions[i]!,
  }));
}

describe("two holders of each stage: ten faults, and every reply is as if nothing had happened:", () => {
  const undo: (() => Promise<void>)[] = [];
  let replicas: Replicas;
  let disturber: Disturber;

  before(async () => {
    let network: TestNetwork | undefined;
    if (namespacesMissing === false) {
      network = await TestNetwork.create();
      undo.push(() => network![Symbol.asyncDispose]());
    }
    const end = (fn: () => Promise<void>): void => void undo.push(fn);
    const options = { stages: STAGES, holders: 2, network };
    replicas = await Replicas.start({ after: end }, options);
    const undisturbed = await Replicas.undisturbed({ after: end });
    disturber = new Disturber(replicas, undisturbed, new Random(SEED));
  });

  after(async () => {
    for (const end of undo.reverse()) await end();
  });

  test("nodes and engines that are killed, a machine that hangs, a node that drains", async (t) => {
    await run(t, [
      "its node is killed",
      "its node is killed",
      "its engine is killed",
      "its engine is killed",
      "its machine hangs",
      "its node drains",
    ]);
  });

  test(
    "machines that the network cuts off",
    { skip: namespacesMissing },
    async (t) => {
      await run(t, [
        "its machine is cut off",
        "nobody hears its machine",
        "the next stage does not hear it",
        "its machine is cut off",
      ]);
    },
  );

  async function run(
    t: TestContext,
    faults: readonly FaultName[],
  ): Promise<void> {
    t.diagnostic(`faults of seed ${SEED}`);
    for (const one of casesOf(faults)) {
      using lateness = new Lateness();
      const { after, stage, replies, endedMs } = await disturber.disturb(one);
      const { fault, way, stream, sessions } = one;
      const what = `stage ${stage}: ${fault} after ${after} tokens`;
      const recoveries = replies.reduce((sum, r) => sum + r.recoveries, 0);
      if (FAULTS[fault].isQuiet !== true)
        assert.ok(recoveries > 0, `${what}: no reply noticed`);
      const tookMs = Math.max(0, Math.round(endedMs - lateness.ms));
      t.diagnostic(
        `${what}: ${sessions} × ${way}, ${stream ? "streamed" : "whole"}: all there ${tookMs} ms later`,
      );
      await replicas.whole();
    }
  }
});

test("one holder: the reply waits for it", async (t) => {
  const replicas = await Replicas.start(t, { stages: STAGES, holders: 1 });
  const { reply, session } = await midReply(
    replicas,
    () => streamReply(replicas.apiUrl),
    ({ tokens }) => tokens >= 20,
  );
  const { id } = session;
  const holder = replicas.holder(session.route[1]!.peer);
  await holder.member.kill();
  await until("the session to wait", async () => {
    const { sessions } = await replicas.status();
    return sessions!.recent.some((s) => s.id === id && s.state === "waiting");
  });
  await replicas.restart(holder);
  const whole = await reply;
  assert.ok(whole.recoveries > 0);
  const expected = await streamReply(replicas.apiUrl);
  assert.equal(expected.recoveries, 0);
  assertSame(whole, expected, "with a machine that came back");
});
