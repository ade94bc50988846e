/** Events and whole responses from deltas: the official client's accumulator must come to the same response. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ResponseStream } from "openai/lib/responses/ResponseStream";
import type { Response } from "openai/resources/responses/responses";
import {
  answersOf,
  anyReply,
  call,
  content,
  given,
  HEAD as COMMON_HEAD,
  type ScriptedReply,
  thought,
} from "../../../test/fakes/reply.ts";
import { systemClock } from "../../lib/index.ts";
import { parseResponse } from "./fields.ts";
import { responseShape } from "./shape.ts";
import { ResponseStore, type WireResponse } from "./store.ts";

const HEAD = { ...COMMON_HEAD, clock: { ...systemClock, now: () => 5_000 } };

function order(body: object = {}): ReturnType<typeof parseResponse> {
  const context = { strict: true, onUnknown: () => {} };
  const store = new ResponseStore({ clock: systemClock });
  return parseResponse({ input: "Hi", ...body }, context, store, "");
}

/** The events of a reply, its whole response, and what was kept of each. */
function answered(reply: ScriptedReply): {
  events: object[];
  whole: WireResponse;
  kept: WireResponse[];
} {
  const kept: WireResponse[] = [];
  const shape = () =>
    responseShape(HEAD, order(), (response) => kept.push(response));
  const { events, whole } = answersOf(shape, reply);
  return { events, whole: whole as WireResponse, kept };
}

/** The client adds these. */
const ADDED = new Set(["output_parsed", "parsed", "parsed_arguments"]);

/** What the official client makes of events, without what it adds. */
async function accumulated(events: readonly object[]): Promise<Response> {
  const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
  const body = new Blob([lines]).stream();
  const response =
    await ResponseStream.fromReadableStream(body).finalResponse();
  const json = JSON.stringify(response, (key, value: unknown) =>
    ADDED.has(key) ? undefined : value,
  );
  return JSON.parse(json) as Response;
}

test("the events of a reply that thinks, speaks and calls, in OpenAI's order, numbered", () => {
  const { events, whole, kept } = answered({
    parts: [
      [thought("Hm")],
      [thought("m."), content("I ")],
      [content("look.")],
      [call(0), given(0, '{"a"')],
      [given(0, ":1}")],
    ],
    finish: "tool_calls",
  });
  const told = (events as Record<string, unknown>[]).map(
    ({
      type,
      output_index: at,
      content_index: part,
      delta,
      sequence_number: n,
    }) => [n, type, at, part, delta].filter((fact) => fact !== undefined),
  );
  assert.deepEqual(told, [
    [0, "response.created"],
    [1, "response.in_progress"],
    [2, "response.output_item.added", 0],
    [3, "response.content_part.added", 0, 0],
    [4, "response.reasoning_text.delta", 0, 0, "Hm"],
    [5, "response.reasoning_text.delta", 0, 0, "m."],
    [6, "response.reasoning_text.done", 0, 0],
    [7, "response.content_part.done", 0, 0],
    [8, "response.output_item.done", 0],
    [9, "response.output_item.added", 1],
    [10, "response.content_part.added", 1, 0],
    [11, "response.output_text.delta", 1, 0, "I "],
    [12, "response.output_text.delta", 1, 0, "look."],
    [13, "response.output_text.done", 1, 0],
    [14, "response.content_part.done", 1, 0],
    [15, "response.output_item.done", 1],
    [16, "response.output_item.added", 2],
    [17, "response.function_call_arguments.delta", 2, '{"a"'],
    [18, "response.function_call_arguments.delta", 2, ":1}"],
    [19, "response.function_call_arguments.done", 2],
    [20, "response.output_item.done", 2],
    [21, "response.completed"],
  ]);
  const status = "completed";
  assert.deepEqual(whole.output, [
    {
      type: "reasoning",
      id: "rs_012345670",
      status,
      summary: [],
      content: [{ type: "reasoning_text", text: "Hmm." }],
    },
    {
      type: "message",
      id: "msg_012345671",
      status,
      role: "assistant",
      content: [
        { type: "output_text", text: "I look.", annotations: [], logprobs: [] },
      ],
    },
    {
      type: "function_call",
      id: "fc_012345672",
      status,
      call_id: "call-0",
      name: "look",
      arguments: '{"a":1}',
    },
  ]);
  assert.deepEqual(whole.usage, {
    input_tokens: 7,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 1 },
    total_tokens: 12,
  });
  assert.deepEqual(kept, [whole, whole]);
});

test("a reply that was cut is incomplete, with its last item", async () => {
  const { events, whole } = answered({
    parts: [[thought("a"), content("b")]],
    finish: "length",
  });
  assert.equal(whole.status, "incomplete");
  assert.deepEqual(whole.incomplete_details, { reason: "max_output_tokens" });
  const states = whole.output.map((item) => "status" in item && item.status);
  assert.deepEqual(states, ["completed", "incomplete"]);
  assert.deepEqual((await accumulated(events)).output, whole.output);
});

test("a failure ends the stream: created, failed with what came, then the error", () => {
  const error = {
    message: "lost",
    type: "server_error",
    param: null,
    code: "stage_lost",
  };
  const failure = { status: 503, headers: {}, body: { error } };
  const early = responseShape(HEAD, order(), () => assert.fail());
  const told = early.failed?.(failure) as Record<string, unknown>[];
  assert.deepEqual(
    told.map(({ type, sequence_number: n }) => [n, type]),
    [
      [0, "response.created"],
      [1, "response.in_progress"],
      [2, "response.failed"],
      [3, "error"],
    ],
  );
  const { response } = told[2] as { response: WireResponse };
  assert.equal(response.status, "failed");
  assert.deepEqual(response.error, { code: "server_error", message: "lost" });
  const { message, code, param } = error;
  const sequence_number = 3;
  const last = { type: "error", message, code, param, error, sequence_number };
  assert.deepEqual(told[3], last);
});

test("any reply: the client's accumulator comes to the whole response", async () => {
  await fc.assert(
    fc.asyncProperty(anyReply, async (reply) => {
      const { events, whole } = answered(reply);
      const { output_text: text, ...response } = await accumulated(events);
      assert.deepEqual(response, whole);
      assert.equal(text, reply.said);
    }),
    { numRuns: 60 },
  );
});
