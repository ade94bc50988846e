import assert from "node:assert/strict";
import { test } from "node:test";
import { ShoalError } from "../../lib/index.ts";
import { CHAT, eventsOf, inProcess } from "../../../test/fakes/gateway.ts";

const clock = { now: () => 1_760_000_000_999, after: () => () => {} };
const PROMPT_TOKENS = 28; // BOS, then a byte each: <|user|>Hi</s><|assistant|>
const COMPLETION = { model: "shoal-demo", prompt: "Once", max_tokens: 50 };

test("a chat is answered whole", async () => {
  const { post } = inProcess({ clock });
  const response = await post("/v1/chat/completions", CHAT);
  assert.equal(response.statusCode, 200);
  const id = response.headers["x-request-id"];
  assert.deepEqual(response.json(), {
    id: `chatcmpl-${String(id)}`,
    object: "chat.completion",
    created: 1_760_000_000,
    model: "shoal-demo",
    system_fingerprint: "shoal-0_llama.cpp-0_f16_exact_bafymanifest",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Hello there.", refusal: null },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: {
      prompt_tokens: PROMPT_TOKENS,
      completion_tokens: 4, // three pieces and the end token
      total_tokens: PROMPT_TOKENS + 4,
    },
  });
});

test("a text is continued whole, to its length", async () => {
  const { post } = inProcess({ clock });
  const response = await post("/v1/completions", {
    ...COMPLETION,
    max_tokens: 2,
  });
  const id = response.headers["x-request-id"];
  assert.deepEqual(response.json(), {
    id: `cmpl-${String(id)}`,
    object: "text_completion",
    created: 1_760_000_000,
    model: "shoal-demo",
    system_fingerprint: "shoal-0_llama.cpp-0_f16_exact_bafymanifest",
    choices: [
      {
        text: "Hello there",
        index: 0,
        logprobs: null,
        finish_reason: "length",
      },
    ],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  });
});

test("a chat is streamed: the role, the text, the finish, the usage, [DONE]", async () => {
  const { post } = inProcess({ clock });
  const response = await post("/v1/chat/completions", {
    ...CHAT,
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.equal(response.statusCode, 200);
  assert.equal(
    response.headers["content-type"],
    "text/event-stream; charset=utf-8",
  );
  const head = {
    id: `chatcmpl-${String(response.headers["x-request-id"])}`,
    object: "chat.completion.chunk",
    created: 1_760_000_000,
    model: "shoal-demo",
    system_fingerprint: "shoal-0_llama.cpp-0_f16_exact_bafymanifest",
  };
  const chunk = (delta: object, finish: string | null = null): object => ({
    ...head,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    usage: null,
  });
  assert.deepEqual(eventsOf(response.body), [
    chunk({ role: "assistant", content: "" }),
    chunk({ content: "Hello" }),
    chunk({ content: " there" }),
    chunk({ content: "." }),
    chunk({}, "stop"),
    {
      ...head,
      choices: [],
      usage: {
        prompt_tokens: PROMPT_TOKENS,
        completion_tokens: 4,
        total_tokens: PROMPT_TOKENS + 4,
      },
    },
    "[DONE]",
  ]);
});

test("a text is streamed, without usage unless requested", async () => {
  const { post } = inProcess({ clock });
  const response = await post("/v1/completions", {
    ...COMPLETION,
    stream: true,
  });
  const events = eventsOf(response.body) as {
    choices: { text: string; finish_reason: string | null }[];
  }[];
  assert.equal(events.pop(), "[DONE]");
  assert.deepEqual(
    events.map(({ choices }) => [choices[0]?.text, choices[0]?.finish_reason]),
    [
      ["Hello", null],
      [" there", null],
      [".", null],
      ["", "stop"],
    ],
  );
  for (const event of events) assert.ok(!("usage" in event));
});

/** The text of each chunk of a streamed chat. */
function deltas(body: string): (string | undefined)[] {
  return eventsOf(body)
    .filter((event) => event !== "[DONE]")
    .map(
      (event) =>
        (event as { choices: { delta: { content?: string } }[] }).choices[0]
          ?.delta.content,
    );
}

test("a character that spans tokens comes out whole", async () => {
  const { post, backend } = inProcess();
  const fish = new TextEncoder().encode("🐟");
  backend.script = [
    "a",
    fish.subarray(0, 1),
    fish.subarray(1, 3),
    fish.subarray(3),
    "b",
  ];
  const response = await post("/v1/chat/completions", {
    ...CHAT,
    stream: true,
  });
  assert.deepEqual(deltas(response.body), ["", "a", "🐟", "b", undefined]);
});

test("a stop string across tokens ends the answer before it, and the generation with it", async () => {
  const { post, backend } = inProcess();
  backend.script = ["one", " EN", "D", " never"];
  backend.endless = true;
  for (const stream of [false, true]) {
    const response = await post("/v1/chat/completions", {
      ...CHAT,
      stream,
      stop: ["nothing", " END"],
    });
    await backend.generationsEnded(stream ? 2 : 1);
    assert.equal(backend.ended.at(-1)?.aborted, true);
    if (stream) {
      assert.deepEqual(deltas(response.body), ["", "one", undefined]);
      assert.match(response.body, /"finish_reason":"stop".*\n\ndata: \[DONE\]/);
    } else {
      const { choices, usage } = response.json<{
        choices: { message: { content: string }; finish_reason: string }[];
        usage: { completion_tokens: number };
      }>();
      assert.equal(choices[0]?.message.content, "one");
      assert.equal(choices[0].finish_reason, "stop");
      assert.equal(usage.completion_tokens, 3);
    }
  }
});

test("text held back for a stop string that never comes is not lost", async () => {
  const { post, backend } = inProcess();
  backend.script = ["one EN"];
  const response = await post("/v1/chat/completions", {
    ...CHAT,
    stream: true,
    stop: " END",
  });
  assert.deepEqual(deltas(response.body), ["", "one", " EN", undefined]);
});

const lost = new ShoalError("STAGE_LOST", "stage 2 of 4 (layers 4-5) is lost", {
  stage: 2,
  peer: "12D3",
});

test("an error after the stream began is an event, and there is no [DONE]", async () => {
  const { post, backend, story } = inProcess();
  backend.script = ["Hello", { throw: lost }];
  const response = await post("/v1/chat/completions", {
    ...CHAT,
    stream: true,
  });
  assert.equal(response.statusCode, 200);
  assert.deepEqual(eventsOf(response.body).at(-1), {
    error: {
      message: "stage 2 of 4 (layers 4-5) is lost",
      type: "server_error",
      param: null,
      code: "stage_lost",
      details: { stage: 2, peer: "12D3" },
    },
  });
  assert.doesNotMatch(response.body, /\[DONE\]/);
  const event = await story.tells("request failed");
  assert.equal(event.fields.code, "STAGE_LOST");
  assert.equal(event.fields.completionTokens, 1);
});

interface Failure {
  what: string;
  arrange: (backend: ReturnType<typeof inProcess>["backend"]) => void;
  status: number;
  code: string;
  message: RegExp;
  retryAfter?: string;
}

const FAILURES: Failure[] = [
  {
    what: "shards are missing",
    arrange: (backend) => {
      backend.unready = new ShoalError(
        "SWARM_NOT_READY",
        "shards 1 and 3 of 4 are missing",
        { missingShards: [1, 3], missingLayers: ["2-3", "6-7"] },
      );
    },
    status: 503,
    code: "swarm_not_ready",
    message: /^shards 1 and 3 of 4 are missing$/,
    retryAfter: "2",
  },
  {
    what: "nobody has joined",
    arrange: (backend) => {
      backend.known = false;
    },
    status: 503,
    code: "swarm_not_ready",
    message: /no node has joined/,
    retryAfter: "2",
  },
  {
    what: "the swarm is busy",
    arrange: (backend) => {
      const details = { retryAfterMs: 3_500 };
      backend.script = [
        { throw: new ShoalError("BUSY", "4 sessions run, 8 wait", details) },
      ];
    },
    status: 503,
    code: "busy",
    message: /4 sessions run/,
    retryAfter: "4",
  },
  {
    what: "a stage is lost before the first token",
    arrange: (backend) => {
      backend.script = [{ throw: lost }];
    },
    status: 502,
    code: "stage_lost",
    message: /stage 2 of 4/,
  },
  {
    what: "the prompt is longer than the context",
    arrange: (backend) => {
      backend.contextLength = PROMPT_TOKENS;
    },
    status: 400,
    code: "context_length_exceeded",
    message:
      /^prompt has 28 tokens; the context \(prompt \+ reply\) is limited to 28$/,
  },
  {
    what: "the model has no chat template",
    arrange: (backend) => {
      backend.chatTemplate = undefined;
    },
    status: 400,
    code: "template_missing",
    message: /has no chat template/,
  },
  {
    what: "the template refuses",
    arrange: (backend) => {
      backend.chatTemplate = "{{ raise_exception('only one system message') }}";
    },
    status: 400,
    code: "template_failed",
    message: /only one system message/,
  },
  {
    what: "a generation ends without a finish",
    arrange: (backend) => {
      backend.script = [{ throw: new Error("a secret prompt") }];
    },
    status: 500,
    code: "internal",
    message:
      /^the gateway failed on this request \([0-9a-f-]{36}\); its log says where$/,
  },
];

for (const { what, arrange, status, code, message, retryAfter } of FAILURES) {
  for (const stream of [false, true]) {
    test(`${status} ${code} when ${what}${stream ? ", also for a stream" : ""}`, async () => {
      const { post, backend, story } = inProcess();
      arrange(backend);
      const response = await post("/v1/chat/completions", { ...CHAT, stream });
      assert.equal(response.statusCode, status);
      const { error } = response.json<{ error: Record<string, unknown> }>();
      assert.equal(error.code, code);
      assert.match(String(error.message), message);
      assert.equal(response.headers["retry-after"], retryAfter);
      assert.doesNotMatch(response.body, /secret/);
      await story.tells("request failed");
      assert.doesNotMatch(JSON.stringify(story.told), /secret/);
    });
  }
}

test("a silent cluster is a deadline, not a hang", async () => {
  for (const script of [[{ deaf: true }], ["Hello", { deaf: true }]] as const) {
    const { post, backend } = inProcess({
      firstTokenTimeoutMs: 30,
      tokenTimeoutMs: 30,
    });
    backend.script = [...script];
    const response = await post("/v1/chat/completions", CHAT);
    assert.equal(response.statusCode, 504);
    assert.match(response.body, /"code":"deadline"/);
    assert.equal(backend.requests[0]?.signal.aborted, true);
  }
});

test("the event of an answer has its numbers but no text", async () => {
  const { post, story } = inProcess({ clock });
  const response = await post("/v1/chat/completions", CHAT);
  const event = await story.tells("request answered");
  assert.deepEqual(event.fields, {
    requestId: response.headers["x-request-id"],
    path: "/v1/chat/completions",
    status: 200,
    ms: 0,
    key: undefined,
    model: "shoal-demo",
    queuedMs: undefined,
    firstTokenMs: undefined,
    promptTokens: PROMPT_TOKENS,
    stream: false,
    completionTokens: 4,
    code: undefined,
  });
});
