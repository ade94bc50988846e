/**
 * A reply that keeps to a grammar, through three stages, as a gateway sees it token by token: the last stage and then the first one are lost while
 * it is written, and it goes on with the same tokens, the same log probabilities, and text that is of the grammar.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { parseSampling } from "../../src/engine/index.ts";
import type { GeneratedToken, ServedModel } from "../../src/inference/index.ts";
import { SessionLog, SwarmBackend } from "../../src/inference/index.ts";
import { Events, type ShoalError } from "../../src/lib/index.ts";
import { joinThroughBootstraps } from "../../src/roles/join.ts";
import { createGuest, startMember } from "../../src/roles/member.ts";
import type { SessionStatus } from "../../src/status/index.ts";
import { Replicas } from "../support/replicas.ts";

const GBNF = String.raw`root ::= "{\"title\": " string ", \"story\": " string ", \"pages\": [" number ("," number){3} "]}"
string ::= "\"" [^"\\\x00-\x1f\x7f]{40,60} "\""
number ::= [1-9] [0-9]{0,2}`;
const PATIENCE_MS = 180_000;

/** The gateway's backend in this process. */
async function backendIn(
  stack: AsyncDisposableStack,
  replicas: Replicas,
): Promise<SwarmBackend> {
  const events = new Events();
  const listen = ["/ip4/127.0.0.1/tcp/0"];
  const member = await createGuest({ cluster: "test", listen, events });
  const { host, commands, membership } = member;
  await startMember(stack, member);
  const backend = new SwarmBackend({
    host,
    commands,
    membership,
    events,
    dataDir: join(replicas.members.home, "guest"),
    sessions: new SessionLog(),
  });
  stack.defer(() => backend.stop());
  backend.start();
  const { addresses } = await replicas.rendezvous.member.ready;
  await joinThroughBootstraps(stack, {
    host,
    events,
    bootstraps: addresses.slice(0, 1),
    bootstrapTimeoutMs: PATIENCE_MS,
    join: async (peer) => {
      await membership.join(peer);
    },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return backend;
}

test("a reply by a grammar outlives its last stage and its first, token for token, with the same log probabilities", async (t) => {
  const replicas = await Replicas.start(t, {
    stages: 3,
    holders: 2,
    nodeFlags: ["--cache", "0"],
  });
  await using stack = new AsyncDisposableStack();
  const backend = await backendIn(stack, replicas);
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const arrival = { requestId: "test", arrivedMs: Date.now(), signal };
  const find = (): ServedModel | ShoalError =>
    backend.notReady() ?? backend.model()!;
  const model = await backend.whenReady(find, arrival);
  const tokens = await model.tokenizer.encode("Once upon a time", {
    addSpecial: true,
    parseSpecial: false,
  });
  const sampling = parseSampling({
    temperature: 1,
    seed: 3,
    logprobs: 4,
    grammar: { gbnf: GBNF },
  });
  const generate = async (
    onToken: (count: number, status: SessionStatus) => Promise<void>,
  ): Promise<GeneratedToken[]> => {
    let status: (() => SessionStatus) | undefined;
    const all: GeneratedToken[] = [];
    for await (const token of model.generate({
      requestId: "test",
      arrivedMs: Date.now(),
      signal,
      tokens,
      maxTokens: 256,
      sampling,
      onSession: (tell) => (status = tell),
    })) {
      all.push(token);
      await onToken(all.length, status!());
    }
    return all;
  };
  const whole = await generate(async () => {});
  const text = Buffer.concat(
    whole.map(({ token }) => model.tokenizer.piece(token)),
  ).toString();
  const value = JSON.parse(text) as { pages: number[] };
  assert.equal(value.pages.length, 4, text);
  assert.equal(whole.at(-1)!.finish, "stop");
  for (const { token, logprobs } of whole) {
    const { logprob, top } = logprobs!;
    assert.equal(top.length, 4);
    assert.ok(top.every((one, i) => one.logprob <= (top[i - 1]?.logprob ?? 0)));
    const own = top.find((one) => one.token === token);
    assert.ok(own === undefined || own.logprob === logprob);
    assert.ok(logprob <= top[0]!.logprob);
  }

  let recoveries = 0;
  const strikes = new Map([
    [10, -1],
    [30, 0],
  ]);
  const disturbed = await generate(async (count, status) => {
    ({ recoveries } = status);
    const index = strikes.get(count);
    const peer = index === undefined ? undefined : status.route.at(index)?.peer;
    if (peer !== undefined) await replicas.holder(peer).member.kill();
  });
  assert.deepEqual(disturbed, whole);
  assert.ok(recoveries >= 1, `${recoveries} recoveries`);
});
