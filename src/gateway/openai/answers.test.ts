/**
 * Answers and stream events as the types of OpenAI's own package have them: each is written here as a value of its type, which `tsc`
 * checks, and compared with what the gateway says.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { OpenAI } from "openai";
import { systemClock } from "../../lib/index.ts";
import type { Choice } from "../api.ts";
import { Gathered } from "../choice.ts";
import { parseCompletion } from "./completion.ts";
import { completionShape } from "./completion-shape.ts";
import { CHAT, eventsOf, inProcess } from "../../../test/fakes/gateway.ts";

type Chat = OpenAI.ChatCompletion;
type Chunk = OpenAI.ChatCompletionChunk;
/** llama.cpp's and others' field for what a model thought. */
interface Thought {
  reasoning_content?: string;
}

const clock = { now: () => 1_760_000_000_999, after: () => () => {} };
const HEAD = {
  created: 1_760_000_000,
  model: "shoal-demo",
  system_fingerprint: "shoal-0_llama.cpp-0_f16_exact_bafymanifest",
};
const TEXT = { model: "shoal-demo", prompt: "Once" };
/** Tells of tools in Hermes' words, and thinks. */
const HERMES =
  "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls %}<tool_call>{{ c.function|tojson }}</tool_call>{% endfor %}\n{% endfor %}assistant: {% if false %}<think></think>{% endif %}";
const TOOLS = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: {
        type: "object",
        properties: { city: { type: "string" } },
        required: ["city"],
      },
    },
  },
];
const CALLING = [
  "<think>",
  "Hm.",
  "</think>",
  '<tool_call>{"name": "weather", ',
  '"arguments": {"city": "Bern"}}',
  "</tool_call>",
];

/** What the gateway says to `body`; ids, which are random, are "". */
async function said(
  path: string,
  body: object,
  script?: string[],
): Promise<unknown> {
  const { post, backend } = inProcess({ clock });
  backend.contextLength = 4000;
  if (script !== undefined) {
    backend.script = script;
    backend.chatTemplate = HERMES;
  }
  const response = await post(path, body);
  assert.equal(response.statusCode, 200, response.body);
  const withoutIds = response.body.replaceAll(
    /"id":"(chatcmpl|cmpl|call)[\w-]*"/g,
    '"id":""',
  );
  return response.headers["content-type"]?.toString().includes("event-stream")
    ? eventsOf(withoutIds)
    : JSON.parse(withoutIds);
}

const bytes = (text: string): number[] => [...Buffer.from(text)];
const token = (text: string, logprob: number) => ({
  token: text,
  logprob,
  bytes: bytes(text),
});

test("a chat with tokens' probabilities", async () => {
  const expected = {
    id: "",
    ...HEAD,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Hello there", refusal: null },
        logprobs: {
          content: [
            {
              ...token("Hello", -0.25),
              top_logprobs: [token("Hello", -0.25)],
            },
            {
              ...token(" there", -0.5),
              top_logprobs: [token(" there", -0.5)],
            },
          ],
          refusal: null,
        },
        finish_reason: "length",
      },
    ],
    usage: { prompt_tokens: 28, completion_tokens: 2, total_tokens: 30 },
  } satisfies Chat;
  const body = { ...CHAT, logprobs: true, top_logprobs: 1, max_tokens: 2 };
  assert.deepEqual(await said("/v1/chat/completions", body), expected);
});

test("a chat that thinks and calls a tool", async () => {
  const message = {
    role: "assistant",
    content: null,
    refusal: null,
    reasoning_content: "Hm.",
    tool_calls: [
      {
        id: "",
        type: "function",
        function: { name: "weather", arguments: '{"city": "Bern"}' },
      },
    ],
  } satisfies OpenAI.ChatCompletionMessage & Thought;
  const answer = (await said(
    "/v1/chat/completions",
    { ...CHAT, tools: TOOLS },
    CALLING,
  )) as Chat;
  assert.deepEqual(answer.choices, [
    { index: 0, message, logprobs: null, finish_reason: "tool_calls" },
  ] satisfies Chat["choices"]);
});

test("the same in the form before tools", async () => {
  const [tool] = TOOLS;
  const answer = (await said(
    "/v1/chat/completions",
    { ...CHAT, functions: [tool?.function] },
    CALLING,
  )) as Chat;
  const message: OpenAI.ChatCompletionMessage & Thought = {
    role: "assistant",
    content: null,
    refusal: null,
    reasoning_content: "Hm.",
    function_call: { name: "weather", arguments: '{"city": "Bern"}' },
  };
  assert.deepEqual(answer.choices, [
    { index: 0, message, logprobs: null, finish_reason: "function_call" },
  ] satisfies Chat["choices"]);
});

test("the events of a chat that thinks and calls a tool", async () => {
  const events = (await said(
    "/v1/chat/completions",
    {
      ...CHAT,
      tools: TOOLS,
      stream: true,
      stream_options: { include_usage: true },
    },
    CALLING,
  )) as (Chunk | "[DONE]")[];
  assert.equal(events.pop(), "[DONE]");
  const chunks = events as Chunk[];
  const last = chunks.pop();
  const { prompt_tokens = 0 } = last?.usage ?? {};
  assert.deepEqual(last, {
    id: "",
    ...HEAD,
    object: "chat.completion.chunk",
    choices: [],
    usage: {
      prompt_tokens,
      completion_tokens: 7,
      total_tokens: prompt_tokens + 7,
    },
  } satisfies Chunk);
  for (const { choices, ...head } of chunks) {
    const expected = { id: "", ...HEAD, object: "chat.completion.chunk" };
    assert.deepEqual(head, { ...expected, usage: null });
    assert.equal(choices.length, 1);
  }
  const deltas = chunks.map(({ choices: [choice] }) => choice?.delta);
  const opening = { role: "assistant", content: "" } satisfies Delta;
  const thinking = { reasoning_content: "Hm." } satisfies Delta;
  const call = { index: 0, id: "", type: "function" } as const;
  const calling = {
    tool_calls: [{ ...call, function: { name: "weather", arguments: "" } }],
  } satisfies Delta;
  assert.deepEqual(deltas.slice(0, 3), [opening, thinking, calling]);
  const given = deltas
    .slice(3, -1)
    .map((delta) => delta?.tool_calls?.[0]?.function?.arguments)
    .join("");
  assert.equal(given, '{"city": "Bern"}');
  assert.deepEqual(chunks.at(-1)?.choices, [
    { index: 0, delta: {}, logprobs: null, finish_reason: "tool_calls" },
  ] satisfies Chunk["choices"]);
});
type Delta = Chunk["choices"][number]["delta"] & Thought;

test("a continued text with tokens' probabilities", async () => {
  const expected = {
    id: "",
    ...HEAD,
    object: "text_completion",
    choices: [
      {
        index: 0,
        text: "Hello there.",
        logprobs: {
          tokens: ["Hello", " there", "."],
          token_logprobs: [-0.25, -0.5, -0.75],
          top_logprobs: [{ Hello: -0.25 }, { " there": -0.5 }, { ".": -0.75 }],
          text_offset: [0, 5, 11],
        },
        finish_reason: "stop",
      },
    ],
    usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 },
  } satisfies OpenAI.Completion;
  assert.deepEqual(
    await said("/v1/completions", { ...TEXT, logprobs: 1 }),
    expected,
  );
});

test("the events of a continued text", async () => {
  const event = (
    text: string,
    offset: number,
    logprob: number,
  ): OpenAI.Completion => ({
    id: "",
    ...HEAD,
    object: "text_completion",
    choices: [
      {
        index: 0,
        text,
        logprobs: {
          tokens: [text],
          token_logprobs: [logprob],
          top_logprobs: [{}],
          text_offset: [offset],
        },
        // OpenAI's type has no null here, but its server sends one.
        finish_reason: null as unknown as "stop",
      },
    ],
  });
  const events = (await said("/v1/completions", {
    ...TEXT,
    logprobs: 0,
    stream: true,
  })) as unknown[];
  assert.deepEqual(events.slice(0, 3), [
    event("Hello", 0, -0.25),
    event(" there", 5, -0.5),
    event(".", 11, -0.75),
  ]);
  const end = {
    index: 0,
    text: "",
    logprobs: null,
    finish_reason: "stop",
  } satisfies OpenAI.CompletionChoice;
  assert.deepEqual((events[3] as OpenAI.Completion).choices, [end]);
  assert.equal(events[4], "[DONE]");
});

test("an answer whose text waits for a stop string keeps its tokens' probabilities", async () => {
  const { post, backend } = inProcess({ clock });
  backend.script = ["one", " EN", "T"];
  const response = await post("/v1/chat/completions", {
    ...CHAT,
    stop: " END",
    stream: true,
    logprobs: true,
  });
  const told = (eventsOf(response.body) as Chunk[])
    .flatMap((event) => event.choices ?? [])
    .map(({ delta, logprobs }) => [
      delta.content,
      logprobs?.content?.map((one) => one.token).join("|"),
    ]);
  assert.deepEqual(told, [
    ["", undefined],
    ["one", "one"],
    [" ENT", " EN|T"],
    [undefined, undefined],
  ]);
});

test("the best of three is the likeliest, of each prompt", () => {
  const order = parseCompletion(
    { prompt: ["a", "b"], best_of: 3 },
    { strict: true, onUnknown: () => {} },
  );
  const head = { ...HEAD, requestId: "", fingerprint: "", contextLength: 100 };
  const shape = completionShape(
    {
      ...head,
      createdS: 1,
      arrivedMs: 0,
      clock: systemClock,
      tokenizer: { piece: () => new Uint8Array() },
    },
    order,
  );
  const reply = (content: string, ...logprobs: number[]): Choice => {
    const gathered = new Gathered();
    gathered.add({
      deltas: [{ kind: "content", text: content }],
      completionTokens: logprobs.length,
      tokens: [],
      logprobs: logprobs.map((logprob) => ({
        token: 1,
        sizeBytes: 1,
        logprob,
        top: [],
      })),
      finish: "stop",
    });
    return gathered.choice();
  };
  const replies = [
    reply("a long one", -0.25, -0.25, -0.5),
    reply("likely", -0.75),
    reply("not", -2),
    reply("not", -3),
    reply("no", -2),
    reply("likely, too", -1, -0.5),
  ];
  const counts = { promptTokens: 2, completionTokens: 9, sessions: [] };
  const { choices } = shape.whole(replies, counts) as OpenAI.Completion;
  assert.deepEqual(
    choices.map(({ index, text, logprobs }) => [index, text, logprobs]),
    [
      [0, "likely", null],
      [1, "likely, too", null],
    ],
  );
});
