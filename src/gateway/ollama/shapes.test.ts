/** Thoughts and calls in Ollama's lines: whole calls, with objects of arguments, whatever pieces they come in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answersOf,
  call,
  content,
  given,
  HEAD,
  type ScriptedReply,
  thought,
} from "../../../test/fakes/reply.ts";
import { parseChat, parseGenerate } from "./fields.ts";
import { chatShape, generateShape } from "./shapes.ts";

interface Line {
  message?: { content: string; thinking?: string; tool_calls?: object[] };
  response?: string;
  thinking?: string;
  done: boolean;
  done_reason?: string;
}

const CONTEXT = { strict: false, onUnknown: () => {} };
const BODY = { messages: [{ role: "user", content: "Hi" }], prompt: "Hi" };

/** The lines of a stream, and the whole answer. */
function answersTo(
  parts: ScriptedReply["parts"],
  kind: "chat" | "generate" = "chat",
  finish: ScriptedReply["finish"] = "stop",
): { lines: Line[]; whole: Line } {
  const [parse, shapeOf] =
    kind === "chat" ? [parseChat, chatShape] : [parseGenerate, generateShape];
  const order = parse(BODY, CONTEXT);
  const { events, whole } = answersOf(() => shapeOf(HEAD, order), {
    parts,
    finish,
  });
  return { lines: events as Line[], whole: whole as Line };
}

const WEATHER = {
  id: "call-0",
  function: { index: 0, name: "weather", arguments: { town: "Ulm" } },
};
const TIME = {
  id: "call-1",
  function: { index: 1, name: "time", arguments: {} },
};

test("calls are told once they are whole, each in one line", () => {
  const { lines, whole } = answersTo(
    [
      [thought("Hm")],
      [content("Let me see. ")],
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
    [content("Done")],
  ]);
  assert.deepEqual(lines[0]?.message, {
    role: "assistant",
    content: "Done",
    tool_calls: [
      { id: "call-0", function: { index: 0, name: "time", arguments: {} } },
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
    [[thought("Hm")], [content("Yes")]],
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
