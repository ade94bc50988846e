/** Requests that come while the swarm is not ready, replies that wait, and what keeps their streams alive. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShoalError, systemClock } from "../lib/index.ts";
import { CHAT, onLoopback } from "../../test/fakes/gateway.ts";
import { HandClock } from "../../test/support/clock.ts";
import { until } from "../../test/support/until.ts";

const UNREADY = new ShoalError("SWARM_NOT_READY", "shard 2 of 4 is missing", {
  missingShards: [2],
  waitingFor: "shard 2 of 4 (layers 4-5)",
});
const READY_TIMEOUT_MS = 30_000;
/** Real time: then a test that waits in vain has failed. */
const HANG_MS = 20_000;
const PROGRESS = { stream: true, stream_options: { include_progress: true } };

/** A gateway whose requests wait, with time in the test's hand, or the system's. */
async function waiting(time: "by hand" | "real" = "by hand") {
  const clock = new HandClock();
  const used = time === "real" ? systemClock : clock;
  const swarm = await onLoopback({ clock: used, strict: true });
  swarm.backend.clock = used;
  swarm.backend.readyTimeoutMs = READY_TIMEOUT_MS;
  const change = (unready: ShoalError | undefined, known = true): void => {
    swarm.backend.unready = unready;
    swarm.backend.known = known;
    swarm.backend.changes.tell();
  };
  const ask = (how: object = {}, leaving?: AbortSignal): Promise<Response> =>
    fetch(`${swarm.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...CHAT, ...how }),
      signal: leaving ?? AbortSignal.timeout(HANG_MS),
    });
  /** So many requests wait. */
  const wait = async (count: number): Promise<void> => {
    const { sessions } = swarm.backend;
    await until(
      `${count} requests to wait`,
      () => sessions.totals().active === count,
      5,
    );
  };
  change(UNREADY);
  return Object.assign(swarm, { clock, change, ask, wait });
}

/** What came so far, read until it has `text`. */
class Reading {
  text = "";
  #reader: ReadableStreamDefaultReader<string>;

  constructor(response: Response) {
    this.#reader = response
      .body!.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  async until(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      const { done, value } = await this.#reader.read();
      assert.ok(!done, `the stream ended without ${text}: ${this.text}`);
      this.text += value;
    }
  }

  async end(): Promise<string> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return this.text;
      this.text += value;
    }
  }
}

for (const stream of [false, true])
  test(`a request${stream ? " for a stream" : ""} that comes before the swarm is ready is answered once it is`, async () => {
    await using swarm = await waiting();
    const asked = swarm.ask({ stream });
    await swarm.wait(1);
    const [session] = swarm.backend.sessions.recent();
    assert.equal(session?.state, "waiting");
    assert.equal(session.waitingFor, "shard 2 of 4 (layers 4-5)");
    assert.equal(session.promptTokens, null);
    swarm.change(undefined);
    const response = await asked;
    assert.equal(response.status, 200);
    assert.match(await response.text(), /Hello/);
    assert.deepEqual(swarm.backend.sessions.recent(), []);
    const [request] = swarm.backend.requests;
    assert.equal(request?.arrivedMs, swarm.clock.now());
  });

test("a swarm that does not become ready in time is a 503 with the reason and Retry-After", async () => {
  await using swarm = await waiting();
  const asked = swarm.ask();
  await swarm.wait(1);
  await swarm.clock.pass(READY_TIMEOUT_MS - 1);
  assert.equal(swarm.backend.sessions.totals().active, 1);
  await swarm.clock.pass(1);
  const response = await asked;
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "2");
  const { error } = (await response.json()) as {
    error: { code: string; message: string };
  };
  assert.equal(error.code, "swarm_not_ready");
  assert.equal(error.message, "shard 2 of 4 is missing (waited 30 s)");
  const [session] = swarm.backend.sessions.recent();
  assert.equal(session?.state, "failed");
  assert.equal(session.waitingFor, null);
});

test("a stream that waits long has its headers first, and the reason in it", async () => {
  await using swarm = await waiting();
  const asked = swarm.ask({ stream: true });
  await swarm.wait(1);
  await swarm.clock.pass(15_000);
  const reading = new Reading(await asked);
  await swarm.clock.pass(5_000);
  await reading.until(": waiting for shard 2 of 4 (layers 4-5)\n\n");
  await swarm.clock.pass(READY_TIMEOUT_MS - 20_000);
  const text = await reading.end();
  assert.match(text, /data: \{"error":\{"message":"shard 2 of 4 is missing/);
});

test("a stream's headers leave a moment after its reply began, before its first token", async () => {
  await using swarm = await waiting();
  swarm.change(undefined);
  const slow = Promise.withResolvers<void>();
  swarm.backend.script = [{ until: slow.promise }, "Hello"];
  const asked = swarm.ask({ stream: true });
  await until("the reply", () => swarm.backend.requests.length === 1, 5);
  await swarm.clock.pass(500);
  const response = await asked;
  assert.equal(response.status, 200);
  const reading = new Reading(response);
  await swarm.clock.pass(5_000);
  await reading.until(":\n\n");
  slow.resolve();
  assert.match(await reading.end(), /"Hello".*\[DONE\]/s);
});

test("the reason changes while a request waits; the last one is told", async () => {
  await using swarm = await waiting();
  const asked = swarm.ask();
  await swarm.wait(1);
  const words = "shards 0, 2 of 4 are missing";
  swarm.change(new ShoalError("SWARM_NOT_READY", words));
  await swarm.clock.pass(READY_TIMEOUT_MS);
  assert.match(await (await asked).text(), new RegExp(words));
});

test("an unknown model waits while none is known, and is refused as soon as one is; a known one goes on", async () => {
  await using swarm = await waiting();
  swarm.change(undefined, false);
  const wrong = swarm.ask({ model: "gpt-4" });
  const right = swarm.ask();
  await swarm.wait(2);
  swarm.change(UNREADY);
  const refused = await wrong;
  assert.equal(refused.status, 404);
  assert.match(await refused.text(), /"code":"model_not_found"/);
  await swarm.wait(1);
  swarm.change(undefined);
  assert.equal((await right).status, 200);
  swarm.change(UNREADY);
  assert.equal((await swarm.ask({ model: "gpt-4" })).status, 404); // at once
});

test("a client that leaves while it waits leaves nothing behind", async () => {
  await using swarm = await waiting("real"); // the gateway takes a second to know
  const leaving = new AbortController();
  const left = [{}, { stream: true }, PROGRESS].map(async (how) => {
    const asked = swarm.ask(how, leaving.signal);
    await assert.rejects(asked.then((response) => response.text()));
  });
  await swarm.wait(3);
  leaving.abort();
  await Promise.all(left);
  await swarm.wait(0);
  for (const session of swarm.backend.sessions.recent())
    assert.deepEqual([session.state, session.tokens], ["cancelled", 0]);
  // All places are free again.
  const more = Array.from({ length: 16 }, () => swarm.ask());
  await swarm.wait(16);
  swarm.change(undefined);
  for (const one of await Promise.all(more)) assert.equal(one.status, 200);
  assert.equal(swarm.backend.requests.length, 16);
});

test("beyond the queue's bound a request is refused at once", async () => {
  await using swarm = await waiting();
  const asked = Array.from({ length: 16 }, () => swarm.ask());
  await swarm.wait(16);
  const refused = await swarm.ask();
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.match(await refused.text(), /"code":"busy"/);
  swarm.change(undefined);
  for (const one of await Promise.all(asked)) assert.equal(one.status, 200);
});

test("with include_progress a stream opens as soon as it waits, says for what, and goes on", async () => {
  await using swarm = await waiting();
  const response = await swarm.ask(PROGRESS);
  assert.equal(response.status, 200);
  const reading = new Reading(response);
  await reading.until(": waiting for shard 2 of 4 (layers 4-5)\n\n");
  swarm.change(undefined);
  const text = await reading.end();
  assert.match(
    text,
    /^: waiting for [^\n]+\n\n:\n\ndata: .*"Hello".*\[DONE\]/s,
  );
});

test("with include_progress an error after the wait comes in the stream", async () => {
  await using swarm = await waiting();
  const reading = new Reading(await swarm.ask(PROGRESS));
  await reading.until(": waiting for ");
  await swarm.clock.pass(READY_TIMEOUT_MS);
  const text = await reading.end();
  assert.match(text, /data: \{"error":\{"message":"shard 2 of 4 is missing/);
  assert.doesNotMatch(text, /\[DONE\]/);
  const { fields } = await swarm.story.tells("request failed");
  assert.equal(fields.code, "SWARM_NOT_READY");
});

test("with include_progress and nothing to wait for, an error has its own status", async () => {
  await using swarm = await waiting();
  swarm.change(undefined);
  swarm.backend.contextLength = 5;
  assert.equal((await swarm.ask(PROGRESS)).status, 400);
});

test("a stream without text gets a comment every few seconds, which says what it waits for", async () => {
  await using swarm = await waiting();
  swarm.change(undefined);
  const slow = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<void>();
  swarm.backend.script = [
    "Hello",
    { until: slow.promise },
    " there",
    { until: lost.promise, waitingFor: "shard 1 of 4 (layers 2-3)" },
    ".",
  ];
  const reading = new Reading(await swarm.ask({ stream: true }));
  const passes = async (text: string): Promise<void> => {
    reading.text = "";
    await swarm.clock.pass(5_000);
    await reading.until("\n\n");
    assert.equal(reading.text, text);
  };
  await reading.until("Hello");
  for (let i = 0; i < 3; i++) await passes(":\n\n");
  slow.resolve();
  await reading.until(": waiting for shard 1 of 4 (layers 2-3)\n\n");
  for (let i = 0; i < 3; i++)
    await passes(": waiting for shard 1 of 4 (layers 2-3)\n\n");
  reading.text = "";
  lost.resolve();
  assert.match(await reading.end(), /^:\n\ndata: .*\[DONE\]\n\n$/s);
  // It ended: nothing is written any more.
  await swarm.clock.pass(60_000);
});
