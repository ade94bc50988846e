/** The official client against the gateway's Responses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, {
  APIError,
  APIUserAbortError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
} from "openai";
import { HERMES } from "../../../test/fakes/backend.ts";
import { onLoopback } from "../../../test/fakes/gateway.ts";
import { thrown } from "../../../test/support/thrown.ts";
import { Events, ShoalError, systemClock } from "../../lib/index.ts";
import { Keys } from "../keys/keys.ts";
import { parseKeys } from "../keys/keys-file.ts";

const client = (url: string, apiKey = "-"): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const model = "shoal-demo";

test("a response, whole, and read again", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  const response = await responses.create({ model, input: "Hi" });
  assert.equal(response.output_text, "Hello there.");
  assert.equal(response.status, "completed");
  assert.match(response.id, /^resp_[0-9a-f]{32}$/);
  assert.deepEqual(response.usage, {
    input_tokens: 28,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: 4,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 32,
  });
  const again = await responses.retrieve(response.id);
  assert.deepEqual({ ...again }, { ...response });
});

test("a response, streamed: the client's stream comes to the whole", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  const stream = responses.stream({ model, input: "Hi" });
  let text = "";
  stream.on("response.output_text.delta", ({ delta }) => (text += delta));
  const streamed = await stream.finalResponse();
  assert.equal(text, "Hello there.");
  assert.equal(streamed.output_text, text);
  const kept = await responses.retrieve(streamed.id);
  assert.deepEqual(kept.output[0]?.id, streamed.output[0]?.id);
});

test("events as they come: named, numbered, without [DONE]", async () => {
  await using swarm = await onLoopback();
  const raw = await fetch(`${swarm.url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, input: "Hi", stream: true }),
  });
  const events = (await raw.text())
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => {
      const [name, data] = event.split("\n");
      const { type, sequence_number: n } = JSON.parse(
        data!.slice("data: ".length),
      ) as { type: string; sequence_number: number };
      assert.equal(name, `event: ${type}`);
      return [n, type];
    });
  assert.deepEqual(
    events,
    [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      ...Array<string>(3).fill("response.output_text.delta"),
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ].map((type, n) => [n, type]),
  );
});

test("a conversation goes on from the response before, without its instructions", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  const first = await responses.create({
    model,
    instructions: "Be brief.",
    input: "Hi",
  });
  swarm.backend.script = ["Blue."];
  const second = await responses.create({
    model,
    previous_response_id: first.id,
    input: [{ role: "user", content: "Which colour?" }],
  });
  assert.equal(second.previous_response_id, first.id);
  assert.equal(
    swarm.backend.lastPrompt,
    "<|user|>Hi</s><|assistant|>Hello there.</s><|user|>Which colour?</s><|assistant|>",
  );
  swarm.backend.contextLength = 1_000;
  await responses.create({
    model,
    previous_response_id: second.id,
    input: [
      { type: "item_reference", id: first.output[0]!.id! },
      { role: "user", content: "Why?" },
    ],
  });
  assert.match(
    swarm.backend.lastPrompt,
    /<\|assistant\|>Blue\.\nHello there\.<\/s><\|user\|>Why\?<\/s><\|assistant\|>$/,
  );
});

test("what was asked is listed, page by page; a response is deleted", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  const { id } = await responses.create({
    model,
    input: ["a", "b", "c"].map((content) => ({ role: "user", content })),
  });
  const texts = async (
    order: "asc" | "desc",
    limit: number,
  ): Promise<string> => {
    const said = [];
    for await (const item of responses.inputItems.list(id, { order, limit })) {
      assert.ok(item.type === "message" && item.role === "user");
      const [part] = item.content;
      assert.ok(part?.type === "input_text");
      said.push(part.text);
    }
    return said.join("");
  };
  assert.equal(await texts("asc", 2), "abc");
  assert.equal(await texts("desc", 1), "cba");
  await assert.rejects(
    responses.inputItems.list(id, { limit: 0 }),
    BadRequestError,
  );
  await assert.rejects(responses.cancel(id), BadRequestError);
  await responses.delete(id);
  for (const gone of [
    responses.retrieve(id),
    responses.delete(id),
    responses.cancel(id),
    responses.inputItems.list(id),
  ])
    await assert.rejects(gone, NotFoundError);
});

test("what is not to be stored is not", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  const { id } = await responses.create({ model, input: "Hi", store: false });
  await assert.rejects(responses.retrieve(id), NotFoundError);
  const error = await thrown(
    APIError,
    responses.create({ model, input: "Hi", previous_response_id: id }),
  );
  assert.ok(error instanceof BadRequestError);
  assert.equal(error.param, "previous_response_id");
});

test("a response belongs to the key that asked for it", async () => {
  const keys = new Keys({ clock: systemClock, events: new Events() });
  const entries = ["ann", "bob"].map((name) => ({ name, key: secretOf(name) }));
  keys.replace(parseKeys(JSON.stringify({ keys: entries }), "keys"));
  await using swarm = await onLoopback({ keys });
  const ann = client(swarm.url, secretOf("ann")).responses;
  const bob = client(swarm.url, secretOf("bob")).responses;
  const { id } = await ann.create({ model, input: "Hi" });
  await assert.rejects(bob.retrieve(id), NotFoundError);
  await assert.rejects(bob.delete(id), NotFoundError);
  await assert.rejects(bob.inputItems.list(id), NotFoundError);
  await assert.rejects(
    bob.create({ model, input: "And?", previous_response_id: id }),
    BadRequestError,
  );
  assert.equal((await ann.retrieve(id)).id, id);
});

const secretOf = (name: string): string => `sk-${name}-0123456789abcdef`;

test("counts the tokens of a prompt", async () => {
  await using swarm = await onLoopback();
  swarm.backend.contextLength = 10;
  const counted = await client(swarm.url).responses.inputTokens.count({
    model,
    input: "Hi",
    instructions: "Be brief.",
  });
  assert.deepEqual(
    { ...counted },
    { object: "response.input_tokens", input_tokens: 51 },
  );
  assert.equal(swarm.backend.requests.length, 0);
});

test("thoughts and a tool's round trip: whole and streamed alike", async () => {
  await using swarm = await onLoopback();
  swarm.backend.contextLength = 2_000;
  swarm.backend.chatTemplate = HERMES;
  swarm.backend.script = [
    "<think>",
    "Hm.",
    "</think>",
    '<tool_call>{"name": "look", ',
    '"arguments": {"at": [1, "}"]}}',
    "</tool_call>",
  ];
  const { responses } = client(swarm.url);
  const asked = {
    model,
    input: "Hi",
    tools: [
      {
        type: "function" as const,
        name: "look",
        parameters: null,
        strict: null,
      },
    ],
  };
  const whole = await responses.create(asked);
  const streamed = await responses.stream(asked).finalResponse();
  for (const { output, status } of [whole, streamed]) {
    assert.equal(status, "completed");
    const [reasoning, call] = output;
    assert.ok(reasoning?.type === "reasoning");
    assert.deepEqual(reasoning.content, [
      { type: "reasoning_text", text: "Hm." },
    ]);
    assert.ok(call?.type === "function_call" && call.name === "look");
    assert.deepEqual(JSON.parse(call.arguments), { at: [1, "}"] });
  }
  const [, call] = whole.output;
  assert.ok(call?.type === "function_call");
  swarm.backend.script = ["Seen."];
  const answered = await responses.create({
    ...asked,
    previous_response_id: whole.id,
    input: [
      { type: "function_call_output", call_id: call.call_id, output: "A fox" },
    ],
  });
  assert.equal(answered.output_text, "Seen.");
  assert.ok(
    swarm.backend.lastPrompt.endsWith(
      '<|user|>Hi<|assistant|><think>Hm.</think><tool_call>{"name": "look", "arguments": {"at": [1, "}"]}}</tool_call><|tool|>A fox<|assistant|>',
    ),
    swarm.backend.lastPrompt,
  );
});

test("JSON by a schema, parsed by the client", async () => {
  await using swarm = await onLoopback();
  swarm.backend.script = ['{"city": ', '"Bern"}'];
  const schema = { type: "object", properties: { city: { type: "string" } } };
  const { output_parsed: parsed } = await client(swarm.url).responses.parse({
    model,
    input: "Hi",
    text: {
      format: { type: "json_schema", name: "place", schema, strict: true },
    },
  });
  assert.deepEqual(parsed, { city: "Bern" });
  const [request] = swarm.backend.requests;
  assert.match(request?.sampling.grammar?.gbnf ?? "", /city/);
});

test("tokens' probabilities are told with the text they made, streamed or not", async () => {
  await using swarm = await onLoopback();
  swarm.backend.chatTemplate = HERMES;
  swarm.backend.script = ["<think>", "Hm.", "</think>", "Hello", " there", "."];
  const { responses } = client(swarm.url);
  const asked = { model, input: "Hi", top_logprobs: 2 };
  const include = ["message.output_text.logprobs" as const];
  const whole = await responses.create({ ...asked, include });
  const streamed: string[] = [];
  const stream = responses.stream({ ...asked, include });
  stream.on("response.output_text.delta", ({ logprobs }) => {
    for (const { token } of logprobs) streamed.push(token);
  });
  const final = await stream.finalResponse();
  for (const { output } of [whole, final]) {
    const message = output.find(({ type }) => type === "message");
    const [text] = message?.type === "message" ? message.content : [];
    assert.ok(text?.type === "output_text");
    assert.equal(text.text, "Hello there.");
    assert.deepEqual(
      text.logprobs?.map(({ token, logprob, top_logprobs: top }) => [
        token,
        logprob,
        top.length,
      ]),
      [
        ["Hello", -1, 2],
        [" there", -1.25, 2],
        [".", -1.5, 2],
      ],
    );
  }
  assert.deepEqual(streamed, ["Hello", " there", "."]);
  assert.equal(whole.top_logprobs, 2);
  await responses.create(asked);
  assert.equal(swarm.backend.requests.at(-1)?.sampling.logprobs, -1);
});

test("a response that is cut is incomplete, streamed or not", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  const asked = { model, input: "Hi", max_output_tokens: 2 };
  const whole = await responses.create(asked);
  const streamed = await responses.stream(asked).finalResponse();
  for (const { status, incomplete_details: details, output_text: text } of [
    whole,
    streamed,
  ])
    assert.deepEqual(
      [status, details, text],
      ["incomplete", { reason: "max_output_tokens" }, "Hello there"],
    );
});

test("throws the client's own classes, with code and param", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  const bad = await thrown(
    APIError,
    responses.create({ model, input: "Hi", top_p: 9 }),
  );
  assert.ok(bad instanceof BadRequestError);
  assert.deepEqual([bad.code, bad.param], ["request_invalid", "top_p"]);

  swarm.backend.contextLength = 10;
  const long = await thrown(
    APIError,
    responses.create({ model, input: "Hi", stream: true }),
  );
  assert.equal(long.code, "context_length_exceeded");

  swarm.backend.unready = new ShoalError("SWARM_NOT_READY", "shard 2 of 4");
  const unready = await thrown(
    APIError,
    responses.create({ model, input: "Hi" }),
  );
  assert.ok(unready instanceof InternalServerError);
  assert.equal(unready.status, 503);
});

test("throws in the middle of a stream that breaks, after the text that came", async () => {
  await using swarm = await onLoopback();
  swarm.backend.script = [
    "Hello",
    { throw: new ShoalError("STAGE_LOST", "stage 2 is lost") },
  ];
  const { responses } = client(swarm.url);
  const told: string[] = [];
  const error = await thrown(
    APIError,
    (async () => {
      const stream = await responses.create({
        model,
        input: "Hi",
        stream: true,
      });
      for await (const event of stream) {
        told.push(event.type);
        if (event.type !== "response.failed") continue;
        assert.equal(event.response.error?.code, "server_error");
        assert.equal(event.response.status, "failed");
        await assert.rejects(
          responses.retrieve(event.response.id),
          NotFoundError,
        );
      }
    })(),
  );
  assert.deepEqual(told.slice(-2), [
    "response.output_text.delta",
    "response.failed",
  ]);
  assert.equal(error.code, "stage_lost");
  assert.match(error.message, /stage 2 is lost/);
});

test("a client that aborts frees the generation, streamed or not", async () => {
  await using swarm = await onLoopback();
  const { responses } = client(swarm.url);
  swarm.backend.script = ["Hello", { hang: true }];

  const stream = responses.stream({ model, input: "Hi" });
  stream.on("response.output_text.delta", () => stream.abort());
  await assert.rejects(stream.done(), APIUserAbortError);
  await swarm.backend.generationsEnded(1);

  const controller = new AbortController();
  const whole = responses.create(
    { model, input: "Hi" },
    { signal: controller.signal },
  );
  while (swarm.backend.requests.length < 2) await new Promise(setImmediate);
  controller.abort();
  await assert.rejects(whole, APIUserAbortError);
  await swarm.backend.generationsEnded(2);
  assert.deepEqual(swarm.backend.ended, [{ aborted: true }, { aborted: true }]);
});
