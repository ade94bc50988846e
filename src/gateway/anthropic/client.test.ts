/** The official client against the gateway. */
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  OverloadedError,
  ServiceUnavailableError,
} from "@anthropic-ai/sdk";
import { HERMES } from "../../../test/fakes/backend.ts";
import { onLoopback } from "../../../test/fakes/gateway.ts";
import { thrown } from "../../../test/support/thrown.ts";
import { ShoalError } from "../../lib/index.ts";

const client = (baseURL: string, apiKey = "-"): Anthropic =>
  new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const model = "shoal-demo";
const ASKED = {
  model,
  max_tokens: 50,
  messages: [{ role: "user" as const, content: "Hi" }],
};

test("a message, whole", async () => {
  await using swarm = await onLoopback();
  const message = await client(swarm.url).messages.create(ASKED);
  assert.deepEqual(message.content, [
    { type: "text", text: "Hello there.", citations: null },
  ]);
  assert.equal(message.stop_reason, "end_turn");
  assert.deepEqual(
    [message.usage.input_tokens, message.usage.output_tokens],
    [28, 4],
  );
  assert.match(message.id, /^msg_[0-9a-f]{32}$/);
  assert.match(message._request_id ?? "", /^[0-9a-f-]{36}$/);
});

test("a message, streamed: the client's stream comes to the whole", async () => {
  await using swarm = await onLoopback();
  const { messages } = client(swarm.url);
  const stream = messages.stream(ASKED);
  let text = "";
  stream.on("text", (delta) => (text += delta));
  const { parsed_output: _, ...streamed } = await stream.finalMessage();
  const { ...whole } = await messages.create(ASKED);
  assert.equal(text, "Hello there.");
  assert.deepEqual(streamed, { ...whole, id: streamed.id });
});

test("events as they come, named, with a ping", async () => {
  await using swarm = await onLoopback();
  const types = [];
  const stream = await client(swarm.url).messages.create({
    ...ASKED,
    stream: true,
  });
  for await (const event of stream) types.push(event.type);
  assert.deepEqual(types, [
    "message_start",
    "content_block_start",
    ...Array(3).fill("content_block_delta"),
    "content_block_stop",
    "message_delta",
    "message_stop",
  ]);
  const raw = await fetch(`${swarm.url}/v1/messages`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...ASKED, stream: true }),
  });
  const body = await raw.text();
  assert.match(body, /\n\nevent: ping\ndata: \{"type":"ping"\}\n\n/);
  assert.match(
    body,
    /\n\nevent: message_stop\ndata: \{"type":"message_stop"\}\n\n$/,
  );
});

test("what keeps a stream alive is a ping, before the message too", async () => {
  await using swarm = await onLoopback({ aliveMs: 5 });
  const slow = new Promise<void>((resolve) => setTimeout(resolve, 1_000));
  swarm.backend.script = [{ until: slow, waitingFor: "shard 1 of 4" }, "Hello"];
  const stream = client(swarm.url).messages.stream(ASKED);
  assert.equal(await stream.finalText(), "Hello");
});

test("a stop sequence and the end of max_tokens", async () => {
  await using swarm = await onLoopback();
  const { messages } = client(swarm.url);
  const stopped = await messages.create({ ...ASKED, stop_sequences: [" th"] });
  assert.deepEqual(
    [stopped.stop_reason, stopped.stop_sequence, stopped.content[0]],
    ["stop_sequence", " th", { type: "text", text: "Hello", citations: null }],
  );
  const cut = await messages.create({ ...ASKED, max_tokens: 2 });
  assert.equal(cut.stop_reason, "max_tokens");
  swarm.backend.endless = true;
  const full = await messages.create({ ...ASKED, max_tokens: 1_000 });
  assert.equal(full.stop_reason, "model_context_window_exceeded");
});

test("counts the tokens of a prompt, also of one that fits no context", async () => {
  await using swarm = await onLoopback();
  swarm.backend.contextLength = 10;
  const { max_tokens: _, ...asked } = ASKED;
  const counted = await client(swarm.url).messages.countTokens({
    ...asked,
    system: "Be brief.",
  });
  assert.deepEqual({ ...counted }, { input_tokens: 51 });
  assert.equal(swarm.backend.requests.length, 0);
});

test("the models, in the client's form", async () => {
  await using swarm = await onLoopback();
  const { models } = client(swarm.url);
  const found = [];
  for await (const one of models.list()) found.push(one);
  assert.deepEqual(
    found.map(({ id, type, display_name: name }) => [id, type, name]),
    [[model, "model", model]],
  );
  const one = await models.retrieve(model);
  assert.deepEqual({ ...one }, { ...found[0] });
  assert.equal(one.created_at, "2023-11-14T22:13:20.500Z");
  assert.equal(one.max_input_tokens, 100);
  await assert.rejects(models.retrieve("meta/other"), NotFoundError);
});

test("thoughts and a tool's round trip: whole and streamed alike", async () => {
  await using swarm = await onLoopback();
  swarm.backend.contextLength = 2_000;
  swarm.backend.chatTemplate = HERMES;
  swarm.backend.script = [
    "<think>",
    "Hm.",
    "</think>",
    "I look.",
    '<tool_call>{"name": "look", ',
    '"arguments": {"at": [1, "}"]}}',
    "</tool_call>",
  ];
  const { messages } = client(swarm.url);
  const asked = {
    ...ASKED,
    tools: [{ name: "look", input_schema: { type: "object" as const } }],
  };
  const whole = await messages.create(asked);
  const { parsed_output: _, ...streamed } = await messages
    .stream(asked)
    .finalMessage();
  for (const { stop_reason: reason, content } of [whole, streamed]) {
    assert.equal(reason, "tool_use");
    const [thinking, text, use] = content;
    assert.deepEqual(
      [thinking, text],
      [
        { type: "thinking", thinking: "Hm.", signature: "" },
        { type: "text", text: "I look.", citations: null },
      ],
    );
    assert.ok(use?.type === "tool_use" && use.name === "look");
    assert.deepEqual(use.input, { at: [1, "}"] });
  }
  const thought = whole.usage.output_tokens_details?.thinking_tokens ?? 0;
  assert.ok(thought >= 1 && thought <= 3, String(thought));

  swarm.backend.script = ["Seen."];
  const use = whole.content.find(({ type }) => type === "tool_use");
  assert.ok(use?.type === "tool_use");
  const answered = await messages.create({
    ...asked,
    messages: [
      ...ASKED.messages,
      { role: "assistant", content: whole.content },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: use.id, content: "A fox" },
        ],
      },
    ],
  });
  assert.equal(answered.stop_reason, "end_turn");
  assert.ok(
    swarm.backend.lastPrompt.endsWith(
      '<|user|>Hi<|assistant|><think>Hm.</think>I look.<tool_call>{"name": "look", "arguments": {"at": [1, "}"]}}</tool_call><|tool|>A fox<|assistant|>',
    ),
    swarm.backend.lastPrompt,
  );
});

test("thoughts have a budget: the engine is told where they begin and with which tokens they end", async () => {
  await using swarm = await onLoopback();
  const { backend } = swarm;
  backend.chatTemplate = HERMES;
  const { messages } = client(swarm.url);
  const thinking = { type: "enabled" as const, budget_tokens: 30 };
  await messages.create({ ...ASKED, thinking });
  const close = "</think>";
  const limit = { most: 30, close, end: [...Buffer.from(close)] };
  assert.deepEqual(backend.requests.at(-1)?.sampling.thoughts, {
    ...limit,
    open: "<think>",
  });
  backend.chatTemplate = `${HERMES}<think>`;
  await messages.create({ ...ASKED, thinking });
  assert.deepEqual(backend.requests.at(-1)?.sampling.thoughts, limit);
  await messages.create({ ...ASKED, thinking: { type: "adaptive" } });
  assert.equal(backend.requests.at(-1)?.sampling.thoughts, undefined);
});

test("throws the client's own classes, with type and request id", async () => {
  await using swarm = await onLoopback();
  const { messages } = client(swarm.url);
  const bad = await thrown(
    APIError,
    messages.create({ ...ASKED, stop_sequences: [""] }),
  );
  assert.ok(bad instanceof BadRequestError);
  assert.equal(bad.type, "invalid_request_error");
  assert.match(bad.apiMessage ?? "", /^`stop_sequences\[0\]` must have 1 to/);
  assert.match(bad.requestID ?? "", /^[0-9a-f-]{36}$/);

  swarm.backend.contextLength = 10;
  const long = await thrown(
    APIError,
    messages.create({ ...ASKED, stream: true }),
  );
  assert.ok(long instanceof BadRequestError);
  assert.match(long.apiMessage ?? "", /limited to 10$/);

  swarm.backend.unready = new ShoalError("SWARM_NOT_READY", "shard 2 of 4");
  const unready = await thrown(APIError, messages.create(ASKED));
  assert.ok(unready instanceof ServiceUnavailableError);
  assert.equal(unready.type, "api_error");

  swarm.backend.unready = new ShoalError("BUSY", "all sessions are taken");
  const busy = await thrown(APIError, messages.create(ASKED));
  assert.ok(busy instanceof OverloadedError);
  assert.equal(busy.type, "overloaded_error");

  const nowhere = await thrown(
    APIError,
    client(swarm.url).post("/v1/messages/batches", { body: {} }),
  );
  assert.ok(nowhere instanceof NotFoundError);
  assert.equal(nowhere.type, "not_found_error");
});

test("throws in the middle of a stream that breaks, after the text that came", async () => {
  await using swarm = await onLoopback();
  swarm.backend.script = [
    "Hello",
    { throw: new ShoalError("STAGE_LOST", "stage 2 is lost") },
  ];
  const stream = client(swarm.url).messages.stream(ASKED);
  let text = "";
  stream.on("text", (delta) => (text += delta));
  const error = await thrown(APIError, stream.done());
  assert.equal(text, "Hello");
  assert.equal(error.type, "api_error");
  assert.match(error.message, /stage 2 is lost/);
});

test("an API key is required if one is set, as Anthropic's clients send it", async () => {
  await using swarm = await onLoopback({ apiKey: "sesame" });
  const message = await client(swarm.url, "sesame").messages.create(ASKED);
  assert.equal(message.content.length, 1);
  const error = await thrown(
    APIError,
    client(swarm.url, "wrong").messages.create(ASKED),
  );
  assert.ok(error instanceof AuthenticationError);
  assert.equal(error.type, "authentication_error");
});

test("a client that aborts frees the generation, streamed or not", async () => {
  await using swarm = await onLoopback();
  const { messages } = client(swarm.url);
  swarm.backend.script = ["Hello", { hang: true }];

  const stream = messages.stream(ASKED);
  stream.on("text", () => stream.abort());
  await assert.rejects(stream.done(), APIUserAbortError);
  await swarm.backend.generationsEnded(1);

  const controller = new AbortController();
  const whole = messages.create(ASKED, { signal: controller.signal });
  while (swarm.backend.requests.length < 2) await new Promise(setImmediate);
  controller.abort();
  await assert.rejects(whole, APIUserAbortError);
  await swarm.backend.generationsEnded(2);
  assert.deepEqual(swarm.backend.ended, [{ aborted: true }, { aborted: true }]);
});
