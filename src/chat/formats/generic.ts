/**
 * A form for templates that know no tools, as llama.cpp's: a system message describes the tools, and the reply is JSON, held by a grammar:
 * `{"tool_calls": [{"name": …, "arguments": …}]}` or `{"response": …}`.
 */
import { readJson, readJsonText, readJsonWord } from "../json-reading.ts";
import type { ChatMessage, Json, Supported } from "../chat-template.ts";
import { contentText } from "../chat-messages.ts";
import type { Reading, Reads } from "../reading.ts";
import { beginsThinking, readThoughts, type Reasoning } from "../reasoning.ts";
import type { CallFormat } from "./format.ts";
import { readCalls } from "./read-calls.ts";
import type { CallScope } from "./scope.ts";

/** The calls' part of it. */
export const GENERIC_CALLS: CallFormat = {
  name: "generic",
  written: [],
  isList: true,
  call: { open: "", close: "" },
  body: {
    kind: "object",
    name: "name",
    arguments: ["arguments", "parameters"],
  },
};

/** Messages that tell of the tools, of calls and of their results in words. */
export function genericMessages(
  messages: readonly ChatMessage[],
  tools: readonly Json[],
  supported: Supported,
): ChatMessage[] {
  const said = messages.map((message): ChatMessage => {
    const { role, content, tool_calls: calls = [] } = message;
    if (calls.length > 0 && !supported.toolCalls) {
      return { role, content: callsAsText(message) };
    }
    if (role === "tool" && !supported.toolResults) {
      const { name, tool_call_id: id } = message;
      const response = { name, id, content: contentText(content) };
      return { role: "user", content: pretty({ tool_response: response }) };
    }
    return message;
  });
  const [first, ...rest] = said;
  const words = instruction(tools);
  if (first?.role !== "system")
    return [{ role: "system", content: words }, ...said];
  const content = `${contentText(first.content)}\n\n${words}`;
  return [{ ...first, content }, ...rest];
}

function instruction(tools: readonly Json[]): string {
  return [
    "You can call any of the following tools to satisfy the user's requests:",
    pretty(tools),
    'Respond in JSON format, either with `tool_calls` (a request to call tools): {"tool_calls": [{"name": "…", "arguments": {…}}]}',
    'or with `response` (the reply to the user\'s request): {"response": "…"}',
  ].join("\n\n");
}

function callsAsText({ content, tool_calls: calls = [] }: ChatMessage): string {
  const tool_calls = calls.map(
    ({ id, function: { name, arguments: given } }) => ({
      id,
      name,
      arguments: typeof given === "string" ? parsed(given) : given,
    }),
  );
  const text = contentText(content);
  return pretty({ tool_calls, ...(text !== "" && { content: text }) });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

const pretty = (value: unknown): string => JSON.stringify(value, undefined, 2);

export function* readGeneric(
  reading: Reading,
  reasoning: Reasoning | undefined,
  scope: CallScope,
): Reads {
  if (reasoning !== undefined && (yield* beginsThinking(reading, reasoning))) {
    yield* readThoughts(reading, reasoning.marks);
  }
  const write = (text: string): void =>
    reading.write({ kind: "content", text });
  if (yield* readForm(reading, write, scope)) {
    yield* reading.acceptNext("}");
    yield* reading.space();
  }
  yield* reading.until([], write);
}

/** False: the reply is something else, and nothing was read. */
function* readForm(
  reading: Reading,
  write: (text: string) => void,
  scope: CallScope,
): Reads<boolean> {
  reading.mark();
  yield* reading.space();
  const key = (yield* reading.accept("{"))
    ? yield* readKey(reading)
    : undefined;
  if (key === "response") {
    reading.commit();
    const isText = (yield* reading.more(0)) && reading.rest.startsWith('"');
    yield* isText ? readJsonText(reading, write) : readJson(reading, write);
    return true;
  }
  if (
    key === "tool_calls" &&
    (yield* readCalls(reading, GENERIC_CALLS, scope))
  ) {
    return true;
  }
  reading.goBack();
  return false;
}

function* readKey(reading: Reading): Reads<string | undefined> {
  yield* reading.space();
  const key = yield* readJsonWord(reading);
  if (key === undefined || !(yield* reading.acceptNext(":"))) return undefined;
  yield* reading.space();
  return key;
}
