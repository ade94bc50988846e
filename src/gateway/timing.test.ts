/** Where an answer's time went, in the header Server-Timing and in the usage: whole, streamed, unknown, of many stages. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHAT, eventsOf, inProcess } from "../../test/fakes/gateway.ts";
import type { SessionStatus } from "../inference/index.ts";
import { serverTiming, timesOf } from "./timing.ts";

type Stage = SessionStatus["route"][number];

function stage(i: number, changes: Partial<Stage> = {}): Stage {
  return {
    peer: `peer-${i}`,
    layerStart: 4 * i,
    layerEnd: 4 * i + 4,
    computeMs: 5 + i,
    queueMs: 0.5,
    wireMs: 20.25,
    direct: i === 0,
    predicted: null,
    ...changes,
  };
}

/** As a session log has it after so many tokens: medians only once there are gaps and stages have reported. */
function session(tokens: number, route = [stage(0), stage(1)]): SessionStatus {
  return {
    id: "id",
    startedMs: 0,
    endedMs: null,
    state: "decode",
    waitingFor: null,
    error: null,
    promptTokens: 5,
    tokens,
    cachedTokens: 0,
    recoveries: 0,
    recomputed: false,
    tokensPerSecond: tokens > 1 ? 18.9 : null,
    queuedMs: 1.5,
    timeToFirstTokenMs: 80,
    msPerToken: tokens > 1 ? 53 : null,
    predictedMsPerToken: 50,
    restMs: null,
    route: route.map((one) =>
      tokens > 1
        ? one
        : { ...one, computeMs: null, queueMs: null, wireMs: null },
    ),
  };
}

const USAGE = {
  queued_ms: 1.5,
  first_token_ms: 80,
  tokens_per_second: 18.9,
  token_ms: 53,
  predicted_token_ms: 50,
  compute_ms: 11,
  wire_ms: 40.5,
  queue_ms: 1,
  recoveries: 0,
  recomputed: false,
  stages: [
    {
      peer: "peer-0",
      layers: "0-3",
      compute_ms: 5,
      wire_ms: 20.25,
      queue_ms: 0.5,
      direct: true,
    },
    {
      peer: "peer-1",
      layers: "4-7",
      compute_ms: 6,
      wire_ms: 20.25,
      queue_ms: 0.5,
      direct: false,
    },
  ],
};

/** Name to milliseconds. */
function parsed(header: unknown): Record<string, number> {
  assert.ok(typeof header === "string");
  return Object.fromEntries(
    header.split(", ").map((entry) => {
      const match = /^([a-z0-9-]+);dur=([0-9.]+);desc="[^"]+"$/.exec(entry);
      assert.ok(match !== null, entry);
      return [match[1], Number(match[2])];
    }),
  );
}

test("a whole answer names compute, wire and queue of each stage in its header and its usage", async () => {
  const { backend, post } = inProcess();
  backend.session = (tokens) => session(tokens);
  const response = await post("/v1/chat/completions", CHAT);
  assert.deepEqual(response.json<{ usage: object }>().usage, {
    prompt_tokens: 28,
    completion_tokens: 4,
    total_tokens: 32,
    prompt_tokens_details: { cached_tokens: 0 },
    shoal: USAGE,
  });
  assert.deepEqual(parsed(response.headers["server-timing"]), {
    queued: 1.5,
    first: 80,
    token: 53,
    predicted: 50,
    compute: 11,
    wire: 40.5,
    queue: 1,
    "stage0-compute": 5,
    "stage0-wire": 20.25,
    "stage0-queue": 0.5,
    "stage1-compute": 6,
    "stage1-wire": 20.25,
    "stage1-queue": 0.5,
  });
});

test("a streamed answer's header has what is known at its first token, its last chunk the rest", async () => {
  const { backend, post } = inProcess();
  backend.session = (tokens) => session(tokens);
  const response = await post("/v1/chat/completions", {
    ...CHAT,
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.deepEqual(parsed(response.headers["server-timing"]), {
    queued: 1.5,
    first: 80,
    predicted: 50,
  });
  const last = eventsOf(response.body).at(-2) as { usage: { shoal: object } };
  assert.deepEqual(last.usage.shoal, USAGE);
});

test("a backend that tells nothing gives no header and no times", async () => {
  const { post } = inProcess();
  const response = await post("/v1/chat/completions", CHAT);
  assert.equal(response.headers["server-timing"], undefined);
  const { usage } = response.json<{ usage: { shoal?: object } }>();
  assert.equal(usage.shoal, undefined);
});

test("one stage alone sends nothing; a sum with an unknown part is unknown", () => {
  const only = stage(0, { wireMs: null });
  const alone = timesOf(session(9, [only]));
  assert.deepEqual([alone.wire_ms, alone.stages[0]?.wire_ms], [0, 0]);
  const partly = timesOf(session(9, [stage(0), stage(1, { wireMs: null })]));
  assert.deepEqual([partly.wire_ms, partly.compute_ms], [null, 11]);
  assert.equal(serverTiming(timesOf(session(9, [])))?.includes("wire"), false);
});

test("a route of 256 stages fits into the header that clients read", () => {
  const route = Array.from({ length: 256 }, (_, i) => stage(i));
  const times = timesOf(session(9, route));
  assert.equal(times.stages.length, 256);
  const header = serverTiming(times) ?? "";
  assert.ok(header.length < 1_000 && header.includes("wire;dur=5184"), header);
  const most = serverTiming(timesOf(session(9, route.slice(0, 32)))) ?? "";
  assert.ok(most.includes("stage31-queue") && most.length < 8_192);
});
