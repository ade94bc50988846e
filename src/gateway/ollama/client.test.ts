/** The official client of Ollama against the gateway: what it reads and throws is what "speaks Ollama's API" means. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama, type ChatResponse } from "ollama";
import { ShoalError } from "../../lib/index.ts";
import { onLoopback } from "../../../test/fakes/gateway.ts";
import { FACTS } from "../../../test/fakes/backend.ts";

const model = "shoal-demo:latest";
const messages = [{ role: "user", content: "Hi" }];

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

test("lists, shows and tells what runs", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const { models } = await client.list();
  assert.equal(models.length, 1);
  const [listed] = models;
  assert.deepEqual(
    [listed?.name, listed?.model, listed?.size, listed?.digest],
    [model, model, FACTS.sizeBytes, FACTS.digest],
  );
  assert.deepEqual(
    [listed?.details.family, listed?.details.parameter_size],
    ["llama", "7.2B"],
  );
  assert.equal(listed?.details.quantization_level, "Q4_K_M");
  assert.equal(new Date(listed?.modified_at ?? 0).getTime(), 1_700_000_000_500);

  for (const name of [model, "shoal-demo"]) {
    const shown = await client.show({ model: name });
    assert.deepEqual(shown.capabilities, ["completion", "tools"]);
    assert.match(shown.template, /add_generation_prompt/);
    const info = shown.model_info as unknown as Record<string, unknown>;
    assert.equal(info["general.architecture"], "llama");
    // What the cluster serves, not what the model was trained for.
    assert.equal(info["llama.context_length"], 100);
  }
  const running = await client.ps();
  assert.deepEqual(
    running.models.map(({ name }) => name),
    [model],
  );
  assert.ok(new Date(running.models[0]!.expires_at).getTime() > Date.now());
  assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
});

test("nothing runs while the swarm is not ready", async () => {
  await using swarm = await onLoopback();
  swarm.backend.unready = new ShoalError(
    "SWARM_NOT_READY",
    "shard 2 is missing",
  );
  const client = new Ollama({ host: swarm.url });
  assert.equal((await client.ps()).models.length, 0);
  assert.equal((await client.list()).models.length, 1);
});

test("chats, whole and streamed", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const whole = await client.chat({ model, messages });
  assert.deepEqual(whole.message, {
    role: "assistant",
    content: "Hello there.",
  });
  assert.deepEqual([whole.done, whole.done_reason], [true, "stop"]);
  assert.deepEqual([whole.model, whole.eval_count], [model, 4]);
  assert.ok(whole.prompt_eval_count > 0 && whole.total_duration > 0);
  assert.equal(swarm.backend.lastPrompt, "<|user|>Hi</s><|assistant|>");

  const lines = await collect(
    await client.chat({ model: "shoal-demo", messages, stream: true }),
  );
  assert.equal(
    lines.map((line) => line.message.content).join(""),
    "Hello there.",
  );
  assert.deepEqual(
    lines.map(({ done }) => done),
    [false, false, false, true],
  );
  assert.equal(lines.at(-1)?.done_reason, "stop");
  assert.equal(lines.at(-1)?.model, "shoal-demo");
});

test("a reply that reached its limit says so", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const options = { num_predict: 2 };
  const answer = await client.chat({ model, messages, options });
  assert.deepEqual(
    [answer.message.content, answer.done_reason, answer.eval_count],
    ["Hello there", "length", 2],
  );
});

test("generates: with a system message, raw, and streamed", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const answer = await client.generate({
    model,
    prompt: "Hi",
    system: "Be kind",
  });
  assert.equal(answer.response, "Hello there.");
  assert.equal(
    swarm.backend.lastPrompt,
    "<|system|>Be kind</s><|user|>Hi</s><|assistant|>",
  );
  await client.generate({ model, prompt: "Once", raw: true });
  assert.equal(swarm.backend.lastPrompt, "Once");
  const lines = await collect(
    await client.generate({ model, prompt: "Hi", stream: true }),
  );
  assert.equal(lines.map(({ response }) => response).join(""), "Hello there.");
});

test("log probabilities are told where they are asked for", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const request = { model, messages, logprobs: true, top_logprobs: 2 };
  const { logprobs = [] } = await client.chat(request);
  assert.deepEqual(
    logprobs.map(({ token, top_logprobs: top }) => [token, top?.length]),
    [
      ["Hello", 2],
      [" there", 2],
      [".", 2],
    ],
  );
  const lines = await collect(await client.chat({ ...request, stream: true }));
  assert.deepEqual(
    lines.flatMap((line) => line.logprobs ?? []),
    logprobs,
  );
  const generated = await client.generate({
    model,
    prompt: "Hi",
    logprobs: true,
  });
  assert.deepEqual(
    generated.logprobs?.map(({ token, top_logprobs: top }) => [token, top]),
    [
      ["Hello", undefined],
      [" there", undefined],
      [".", undefined],
    ],
  );
  assert.equal((await client.chat({ model, messages })).logprobs, undefined);
});

test("a format holds the reply", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const schema = {
    type: "object",
    properties: { town: { type: "string" } },
    required: ["town"],
  };
  const grammar = (): string =>
    swarm.backend.requests.at(-1)?.sampling.grammar?.gbnf ?? "";
  await client.chat({ model, messages, format: schema });
  assert.match(grammar(), /town/);
  await client.generate({ model, prompt: "Hi", format: "json", raw: true });
  assert.match(grammar(), /^root ::=/m);
  await client.chat({ model, messages });
  assert.equal(grammar(), "");
  const wrong = { type: "object", properties: { a: { not: {} } } };
  await assert.rejects(client.chat({ model, messages, format: wrong }), {
    status_code: 400,
  });
});

test("a suffix is filled in before it, where the vocabulary can", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const request = { model, prompt: "a(", suffix: ")" };
  await assert.rejects(client.generate(request), /cannot fill gaps/);
  swarm.backend.infill = { prefix: 7, suffix: 8, middle: 9 };
  await client.generate(request);
  const [a, open, close] = ["a", "(", ")"].map((c) => c.charCodeAt(0));
  assert.deepEqual(
    [...swarm.backend.requests.at(-1)!.tokens],
    [0, 7, a, open, 8, close, 9],
  );
  const shown = await client.show({ model });
  assert.ok(shown.capabilities.includes("insert"));
});

test("a request without a prompt loads the model, which is there", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const chat = await client.chat({ model, messages: [] });
  assert.deepEqual([chat.done, chat.done_reason], [true, "load"]);
  const generate = await client.generate({ model, prompt: "" });
  assert.deepEqual([generate.done_reason, generate.response], ["load", ""]);
  const keep = { model, prompt: "", keep_alive: 0 };
  assert.equal((await client.generate(keep)).done_reason, "unload");
  assert.equal(swarm.backend.requests.length, 0);
  const lines = await collect(await client.chat({ model, stream: true }));
  assert.equal(lines[0]?.done_reason, "load");
});

/** As Hermes and Qwen write calls and thoughts. */
const HERMES = `{% for tool in tools %}<|tool|>{{ tool | tojson }}{{ eos_token }}{% endfor %}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for call in m.tool_calls %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}`;

const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Of a town",
    parameters: {
      type: "object",
      properties: { town: { type: "string" } },
      required: ["town"],
    },
  },
};

test("a tool is called, and its result comes in the next turn", async () => {
  await using swarm = await onLoopback();
  const { backend } = swarm;
  backend.contextLength = 2000;
  backend.chatTemplate = HERMES;
  backend.script = [
    "<tool_call>",
    '\n{"name": "weather", "argu',
    'ments": {"town": ',
    '"Ulm"}}\n',
    "</tool_call>",
  ];
  const client = new Ollama({ host: swarm.url });
  const first = { model, messages, tools: [weather] };
  const whole = await client.chat(first);
  assert.equal(whole.message.content, "");
  const [call] = whole.message.tool_calls ?? [];
  assert.deepEqual(call?.function.arguments, { town: "Ulm" });
  assert.equal(whole.done_reason, "stop");
  assert.match(backend.lastPrompt, /Of a town/);
  const lines = await collect(await client.chat({ ...first, stream: true }));
  const calls = lines.flatMap((line) => line.message.tool_calls ?? []);
  assert.deepEqual(
    calls.map(({ function: { name, arguments: given } }) => [name, given]),
    [["weather", { town: "Ulm" }]],
  );

  backend.script = ["It is sunny."];
  const second = await client.chat({
    model,
    tools: [weather],
    messages: [
      ...messages,
      whole.message,
      { role: "tool", tool_name: "weather", content: "sun" },
    ],
  });
  assert.equal(second.message.content, "It is sunny.");
  assert.match(
    backend.lastPrompt,
    /<tool_call>\n\{"name": "weather", "arguments": \{"town": "Ulm"\}\}\n<\/tool_call><\/s><\|tool\|>sun<\/s>/,
  );
});

test("thoughts are beside the content, and can be switched off", async () => {
  await using swarm = await onLoopback();
  const { backend } = swarm;
  backend.chatTemplate = HERMES;
  backend.script = ["<think>", "Hm.", "</think>", "Yes."];
  const client = new Ollama({ host: swarm.url });
  const shown = await client.show({ model });
  assert.ok(shown.capabilities.includes("thinking"));
  const request = { model, messages, think: true };
  const whole = await client.chat(request);
  assert.deepEqual(whole.message, {
    role: "assistant",
    content: "Yes.",
    thinking: "Hm.",
  });
  const lines = await collect(await client.chat({ ...request, stream: true }));
  const all = (of: (line: ChatResponse) => string | undefined): string =>
    lines.map((line) => of(line) ?? "").join("");
  assert.deepEqual(
    [all((line) => line.message.thinking), all((line) => line.message.content)],
    ["Hm.", "Yes."],
  );
  const generated = await client.generate({ model, prompt: "Hi", think: true });
  assert.deepEqual([generated.thinking, generated.response], ["Hm.", "Yes."]);
  backend.script = ["Yes."];
  await client.chat({ ...request, think: false });
  assert.match(backend.lastPrompt, /<think><\/think>$/);
});

test("throws sentences, not objects", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const wrong = { model, messages, options: { top_p: -1 } };
  await assert.rejects(client.chat(wrong), {
    name: "ResponseError",
    status_code: 400,
    message: /`options.top_p` must be/,
  });
  swarm.backend.contextLength = 10;
  await assert.rejects(client.chat({ model, messages }), {
    status_code: 400,
    message: /prompt has \d+ tokens; the context/,
  });
  swarm.backend.contextLength = 100;
  swarm.backend.script = [
    "One",
    { throw: new ShoalError("STAGE_LOST", "shard 1 is gone") },
  ];
  const stream = await client.chat({ model, messages, stream: true });
  await assert.rejects(collect(stream), /shard 1 is gone/);
});

test("an abort in the middle frees the stages", async () => {
  await using swarm = await onLoopback();
  swarm.backend.script = ["One", { hang: true }];
  const client = new Ollama({ host: swarm.url });
  const stream = await client.chat({ model, messages, stream: true });
  const seen: ChatResponse[] = [];
  await assert.rejects(
    (async () => {
      for await (const line of stream) {
        seen.push(line);
        stream.abort();
      }
    })(),
    { name: "AbortError" },
  );
  await swarm.backend.generationsEnded(1);
  assert.equal(swarm.backend.ended[0]?.aborted, true);
});

test("what the gateway cannot do with models says what to do instead", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  const refused: [() => Promise<unknown>, RegExp][] = [
    [() => client.push({ model }), /shoal seed/],
    [() => client.create({ model: "x", from: "y" }), /shoal up/],
    [() => client.copy({ source: "a", destination: "b" }), /own name/],
    [() => client.delete({ model }), /stop the cluster/],
    [() => client.embed({ model, input: "x" }), /writes text/],
    [() => client.embeddings({ model, prompt: "x" }), /writes text/],
  ];
  for (const [ask, message] of refused)
    await assert.rejects(ask(), { status_code: 501, message });
});

test("a model that is served need not be pulled, another cannot be", async () => {
  await using swarm = await onLoopback();
  const client = new Ollama({ host: swarm.url });
  assert.equal((await client.pull({ model })).status, "success");
  const lines = await collect(await client.pull({ model, stream: true }));
  assert.deepEqual(lines, [{ status: "success" }]);
  await assert.rejects(client.pull({ model: "llama3.2" }), {
    status_code: 404,
  });
});
