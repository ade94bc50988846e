/** Thoughts and calls in Ollama's lines: whole calls, with objects of arguments, whatever pieces they come in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BackendDouble } from "../../../test/fakes/backend.ts";
import { systemClock } from "../../lib/index.ts";
import type { ReplyDelta } from "../../chat/index.ts";
import type { FinishReason, ReplyPart } from "../api.ts";
import { Gathered } from "../choice.ts";
import { parseChat, parseGenerate } from "./fields.ts";
import { chatShape, generateShape } from "./shapes.ts";

interface Line {
  message?: { content: string; thinking?: string; tool_calls?: object[] };
  response?: string;
  thinking?: string;
  done: boolean;
  done_reason?: string;
}

const HEAD = {
  requestId: "id",
  model: "shoal-demo",
  fingerprint: "f",
  contextLength: 100,
  createdS: 0,
  arrivedMs: 0,
  clock: systemClock,
  tokenizer: new BackendDouble().model()!.tokenizer,
};
const CONTEXT = { strict: false, onUnknown: () => {} };
const BODY = { messages: [{ role: "user", content: "Hi" }], prompt: "Hi" };

/** The lines of a stream, and the whole answer. */
function answersTo(
  parts: readonly (readonly ReplyDelta[])[],
  kind: "chat" | "generate" = "chat",
  finish: FinishReason = "stop",
): { lines: Line[]; whole: Line } {
  const [parse, shapeOf] =
    kind === "chat" ? [parseChat, chatShape] : [parseGenerate, generateShape];
  const order = parse(BODY, CONTEXT);
  const shape = shapeOf(HEAD, order);
  const counts = { promptTokens: 7, completionTokens: 1, sessions: [] };
  const gathered = new Gathered();
  const lines = [...shape.opening(0, counts)];
  for (const [at, deltas] of parts.entries()) {
    const part: ReplyPart = {
      deltas,
      completionTokens: at + 1,
      tokens: [],
      ...(at === parts.length - 1 && { finish }),
    };
    gathered.add(part);
    if (deltas.length > 0) lines.push(...shape.part(0, part, () => counts));
  }
  const choice = gathered.choice();
  lines.push(...shape.closing(0, choice, () => counts), ...shape.end(counts));
  const whole = shapeOf(HEAD, order).whole([choice], counts);
  return { lines: lines as Line[], whole: whole as Line };
}

const call = (index: number, name: string): ReplyDelta => ({
  kind: "call",
  index,
  id: `call_${index}`,
  name,
});
const given = (index: number, text: string): ReplyDelta => ({
  kind: "arguments",
  index,
  text,
});
const said = (text: string): ReplyDelta => ({ kind: "content", text });
const thought = (text: string): ReplyDelta => ({ kind: "reasoning", text });

const WEATHER = {
  id: "call_0",
  function: { index: 0, name: "weather", arguments: { town: "Ulm" } },
};
const TIME = {
  id: "call_1",
  function: { index: 1, name: "time", arguments: {} },
};

test("calls are told once they are whole, each in one line", () => {
  const { lines, whole } = answersTo(
    [
      [thought("Hm")],
      [said("Let me see. ")],
      [call(0, "weather"), given(0, '{"to')],
      [given(0, 'wn":"Ulm"}')],
      [call(1, "time")],
      [given(1, "{}")],
      [],
    ],
    "chat",
    "tool_calls",
  );
  assert.deepEqual(
    lines.map(({ message, done }) => [message, done]),
    [
      [{ role: "assistant", content: "", thinking: "Hm" }, false],
      [{ role: "assistant", content: "Let me see. " }, false],
      [{ role: "assistant", content: "", tool_calls: [WEATHER] }, false],
      [{ role: "assistant", content: "", tool_calls: [TIME] }, false],
      [{ role: "assistant", content: "" }, true],
    ],
  );
  assert.equal(lines.at(-1)?.done_reason, "stop");
  assert.deepEqual(whole.message, {
    role: "assistant",
    content: "Let me see. ",
    thinking: "Hm",
    tool_calls: [WEATHER, TIME],
  });
});

test("text after a call comes after it", () => {
  const { lines } = answersTo([
    [call(0, "time"), given(0, "{}")],
    [said("Done")],
  ]);
  assert.deepEqual(lines[0]?.message, {
    role: "assistant",
    content: "Done",
    tool_calls: [
      { id: "call_0", function: { index: 0, name: "time", arguments: {} } },
    ],
  });
});

test("a call that the reply's end cut comes as the text that it is", () => {
  const parts = [[call(0, "weather"), given(0, '{"town":"U')], []];
  const { lines, whole } = answersTo(parts, "chat", "length");
  assert.deepEqual(
    lines.map(({ message }) => message?.content).join(""),
    '{"town":"U',
  );
  assert.ok(lines.every(({ message }) => message?.tool_calls === undefined));
  assert.equal(lines.at(-1)?.done_reason, "length");
  assert.deepEqual(whole.message, {
    role: "assistant",
    content: '{"town":"U',
  });
});

test("thoughts of a prompt's reply are beside it", () => {
  const { lines, whole } = answersTo(
    [[thought("Hm")], [said("Yes")]],
    "generate",
  );
  assert.deepEqual(
    lines.map(({ response, thinking }) => [response, thinking]),
    [
      ["", "Hm"],
      ["Yes", undefined],
      ["", undefined],
    ],
  );
  assert.deepEqual([whole.response, whole.thinking], ["Yes", "Hm"]);
});
