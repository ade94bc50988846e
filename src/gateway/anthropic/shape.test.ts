/** Events and whole messages from deltas: the official client's accumulator must come to the same message. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "@anthropic-ai/sdk/resources";
import { MessageStream } from "@anthropic-ai/sdk/lib/MessageStream";
import * as fc from "fast-check";
import {
  answersOf,
  anyReply,
  call,
  content,
  given,
  HEAD,
  type ScriptedReply,
  thought,
} from "../../../test/fakes/reply.ts";
import { parseMessage } from "./fields.ts";
import { messageShape } from "./shape.ts";

const CONTEXT = { strict: true, onUnknown: () => {} };
const BODY = {
  max_tokens: 1000,
  stop_sequences: ["END"],
  messages: [{ role: "user", content: "Hi" }],
};

interface Reply extends ScriptedReply {
  body?: object;
}

/** The events of a reply and its whole message. */
function answered({ body, ...reply }: Reply): {
  events: object[];
  whole: Message;
} {
  const order = parseMessage({ ...BODY, ...body }, CONTEXT);
  const { events, whole } = answersOf(() => messageShape(HEAD, order), reply);
  return { events, whole: whole as Message };
}

/** What the official client makes of events. */
async function accumulated(events: readonly object[]): Promise<Message> {
  const seen = events.filter(
    (event) => !("type" in event && event.type === "ping"),
  );
  const lines = seen.map((event) => `${JSON.stringify(event)}\n`).join("");
  const stream = MessageStream.fromReadableStream(new Blob([lines]).stream());
  const { parsed_output: parsed, ...message } = await stream.finalMessage();
  assert.equal(parsed, null); // the client's own
  return message;
}

test("the events of a reply that thinks, speaks and calls, in Anthropic's order", () => {
  const { events, whole } = answered({
    parts: [
      [thought("Hm")],
      [],
      [thought("m."), content("I ")],
      [content("look.")],
      [call(0), given(0, '{"a"')],
      [given(0, ":1}"), call(1)],
      [given(1, "{}")],
    ],
    finish: "tool_calls",
  });
  const told = events.map((event) => {
    const { type, ...rest } = event as { type: string } & Record<
      string,
      unknown
    >;
    return type === "message_start" ? [type] : [type, rest];
  });
  const caller = { type: "direct" };
  const delta = (index: number, of: object): unknown => [
    "content_block_delta",
    { index, delta: of },
  ];
  const stop = (index: number): unknown => ["content_block_stop", { index }];
  const start = (index: number, content_block: object): unknown => [
    "content_block_start",
    { index, content_block },
  ];
  assert.deepEqual(told, [
    ["message_start"],
    ["ping", {}],
    start(0, { type: "thinking", thinking: "", signature: "" }),
    delta(0, { type: "thinking_delta", thinking: "Hm" }),
    delta(0, { type: "thinking_delta", thinking: "m." }),
    delta(0, { type: "signature_delta", signature: "" }),
    stop(0),
    start(1, { type: "text", text: "", citations: null }),
    delta(1, { type: "text_delta", text: "I " }),
    delta(1, { type: "text_delta", text: "look." }),
    stop(1),
    start(2, {
      type: "tool_use",
      id: "call-0",
      name: "look",
      input: {},
      caller,
    }),
    delta(2, { type: "input_json_delta", partial_json: '{"a"' }),
    delta(2, { type: "input_json_delta", partial_json: ":1}" }),
    stop(2),
    start(3, {
      type: "tool_use",
      id: "call-1",
      name: "look",
      input: {},
      caller,
    }),
    delta(3, { type: "input_json_delta", partial_json: "{}" }),
    stop(3),
    [
      "message_delta",
      {
        delta: {
          stop_reason: "tool_use",
          stop_sequence: null,
          stop_details: null,
          container: null,
        },
        usage: {
          input_tokens: 7,
          cache_read_input_tokens: 0,
          cache_creation_input_tokens: 0,
          output_tokens: 7,
          output_tokens_details: { thinking_tokens: 2 },
          server_tool_use: null,
        },
      },
    ],
    ["message_stop", {}],
  ]);
  assert.deepEqual(whole.content, [
    { type: "thinking", thinking: "Hmm.", signature: "" },
    { type: "text", text: "I look.", citations: null },
    { type: "tool_use", id: "call-0", name: "look", input: { a: 1 }, caller },
    { type: "tool_use", id: "call-1", name: "look", input: {}, caller },
  ]);
});

const ENDS: [
  what: string,
  reply: Partial<Reply>,
  reason: string,
  stop: string | null,
][] = [
  ["the model ends", {}, "end_turn", null],
  ["the model calls", { finish: "tool_calls" }, "tool_use", null],
  ["a stop sequence", { stoppedBy: "END" }, "stop_sequence", "END"],
  ["a stop of the format", { stoppedBy: "<|call|>" }, "end_turn", null],
  [
    "max_tokens",
    { finish: "length", body: { max_tokens: 1 } },
    "max_tokens",
    null,
  ],
  [
    "the context is full",
    { finish: "length" },
    "model_context_window_exceeded",
    null,
  ],
];
for (const [what, reply, reason, stop] of ENDS)
  test(`stop_reason when ${what}`, async () => {
    const { events, whole } = answered({ parts: [[content("x")]], ...reply });
    assert.deepEqual([whole.stop_reason, whole.stop_sequence], [reason, stop]);
    assert.deepEqual(await accumulated(events), whole);
  });

test("a reply without anything has no block", async () => {
  const { events, whole } = answered({ parts: [[]] });
  assert.deepEqual(whole.content, []);
  assert.deepEqual(await accumulated(events), whole);
});

test("arguments that were cut off are no input, and stop_reason says why", () => {
  const parts = [[call(0), given(0, '{"a":')]];
  const body = { max_tokens: 1 };
  const { whole } = answered({ parts, finish: "length", body });
  assert.equal(whole.stop_reason, "max_tokens");
  assert.deepEqual((whole.content[0] as { input: unknown }).input, {});
});

test("thoughts are left out if the client wants none", async () => {
  const { events, whole } = answered({
    parts: [[thought("secret")], [content("open")]],
    body: { thinking: { type: "adaptive", display: "omitted" } },
  });
  assert.doesNotMatch(JSON.stringify([events, whole]), /secret/);
  assert.deepEqual(await accumulated(events), whole);
});

test("any reply: the client's accumulator comes to the whole message", async () => {
  await fc.assert(
    fc.asyncProperty(anyReply, async ({ parts, finish }) => {
      const { events, whole } = answered({ parts, ...(finish && { finish }) });
      assert.deepEqual(await accumulated(events), whole);
    }),
    { numRuns: 60 },
  );
});
