import assert from "node:assert/strict";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import type { ChatRequest } from "./chat-request.ts";
import { ChatTemplate, type ChatMessage } from "./chat-template.ts";
import { renderChat } from "./render-chat.ts";
import type { ReplyReader } from "./reply.ts";

const VOCABULARY = { bosText: "<s>", eosText: "</s>", addsBos: false };
const HELLO: ChatMessage = { role: "user", content: "Hi" };
const HALF: ChatMessage = { role: "assistant", content: "Once upon" };

const PLAIN = `{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`;
/** Like Qwen 3: the model opens its thoughts; switched off, the prompt closes them. */
const THINKS = `${PLAIN}{% if add_generation_prompt and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}`;
/** Like R1: the prompt opens them. */
const OPENS = `${PLAIN}{% if add_generation_prompt %}<think>\n{% endif %}{# </think> #}`;

function chat(source: string, request: Partial<ChatRequest> = {}) {
  return renderChat(
    new ChatTemplate(source),
    {
      messages: [HELLO],
      toolChoice: "auto",
      parallelToolCalls: true,
      ...request,
    },
    VOCABULARY,
  );
}

function read(reader: ReplyReader, text: string, size = 1) {
  const said = { content: "", reasoning: "" };
  const take = (deltas: ReturnType<ReplyReader["end"]>): void => {
    for (const delta of deltas) {
      assert.ok(delta.kind === "content" || delta.kind === "reasoning");
      said[delta.kind] += delta.text;
    }
  };
  for (let at = 0; at < text.length; at += size) {
    take(reader.push(text.slice(at, at + size)));
  }
  take(reader.end());
  return said;
}

const REPLIES: [string, Partial<ChatRequest>, string, string, string][] = [
  [PLAIN, {}, "<think>x</think>y", "", "<think>x</think>y"],
  [THINKS, {}, "Hello <think> there", "", "Hello <think> there"],
  [THINKS, {}, "<think>\nHm.\n\n</think>\n\nHello\n", "Hm.", "Hello\n"],
  [THINKS, {}, " \n<think>a </thin b</think>c", "a </thin b", "c"],
  [THINKS, {}, "<think>cut off </th", "cut off </th", ""],
  [THINKS, {}, "<thin", "", "<thin"],
  [THINKS, { enableThinking: false }, "<think>x", "", "<think>x"],
  [THINKS, { reasoningEffort: "none" }, "<think>x", "", "<think>x"],
  [OPENS, {}, "Hm.\n</think>\nHello", "Hm.", "Hello"],
  [OPENS, {}, "<think>\nHm.</think>Hi", "Hm.", "Hi"],
  [OPENS, {}, "never closed", "never closed", ""],
];

for (const [source, request, text, reasoning, content] of REPLIES) {
  test(`${JSON.stringify(text)} is told apart from its thoughts, however it is cut`, () => {
    for (let size = 1; size <= text.length; size++) {
      const said = read(chat(source, request).reader(), text, size);
      assert.deepEqual(said, { reasoning, content }, `in pieces of ${size}`);
    }
  });
}

const THOUGHT: ChatMessage = { ...HALF, reasoning_content: "Hm." };
const CONTINUED: [string, ChatMessage, string][] = [
  [PLAIN, HALF, "<user>Hi<assistant>Once upon"],
  [OPENS, HALF, "<user>Hi<assistant><think>\n</think>Once upon"],
  [OPENS, THOUGHT, "<user>Hi<assistant><think>\nHm.</think>Once upon"],
  [THINKS, THOUGHT, "<user>Hi<assistant><think>Hm.</think>Once upon"],
  [OPENS, { ...THOUGHT, content: "" }, "<user>Hi<assistant><think>\nHm."],
];

for (const [source, last, prompt] of CONTINUED) {
  test(`a last message is continued: ${JSON.stringify(prompt)}`, () => {
    const messages = [HELLO, last];
    const continued = chat(source, { messages, continueLast: true });
    assert.equal(continued.prompt, prompt);
    const answered = chat(source, { messages }).prompt;
    assert.ok(answered.includes("<assistant>"), answered);
    assert.notEqual(answered, prompt);
  });
}

test("a continued answer is content, a continued thought is still one", () => {
  const reader = (last: ChatMessage) =>
    chat(OPENS, { messages: [HELLO, last], continueLast: true }).reader();
  assert.deepEqual(read(reader(THOUGHT), " a time"), {
    reasoning: "",
    content: " a time",
  });
  const thinking = reader({ ...THOUGHT, content: "" });
  assert.deepEqual(read(thinking, "So</think>Once"), {
    reasoning: "So",
    content: "Once",
  });
});

test("two of the assistant's messages at the end are refused", () => {
  assert.throws(
    () => chat(PLAIN, { messages: [HELLO, HALF, HALF], continueLast: true }),
    (error) => isShoalError(error, "REQUEST_INVALID"),
  );
});

test("the effort and other variables reach the template", () => {
  const source = "{{ reasoning_effort }} {{ other }} {{ enable_thinking }}";
  const request = { reasoningEffort: "high", variables: { other: 1 } };
  assert.equal(chat(source, request).prompt, "high 1 True");
  const least = chat(source, { reasoningEffort: "minimal" });
  assert.equal(least.prompt, "low  False");
});
