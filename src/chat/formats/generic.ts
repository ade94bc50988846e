/**
 * A form for templates that know no tools, as llama.cpp's: a system message describes the tools (`told.ts`), and the reply is JSON, held by a grammar:
 * `{"tool_calls": [{"name": …, "arguments": …}]}` or `{"response": …}`.
 */
import { readJson, readJsonText, readJsonWord } from "../json-reading.ts";
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
