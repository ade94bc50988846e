/**
 * gpt-oss writes messages in channels, one after the other: `<|channel|>analysis<|message|>…<|end|><|start|>assistant…`. Thoughts are in
 * `analysis`, content in `final` and in `commentary`, a call is a message to a function.
 * https://cookbook.openai.com/articles/openai-harmony
 */
import type { Reading, Reads } from "../reading.ts";
import type { CallScope } from "./scope.ts";

export const HARMONY_MARKS = {
  start: "<|start|>",
  channel: "<|channel|>",
  constrain: "<|constrain|>",
  message: "<|message|>",
  end: "<|end|>",
  call: "<|call|>",
  return: "<|return|>",
} as const;

const { start, channel, message } = HARMONY_MARKS;
export const HARMONY_THOUGHTS = {
  open: `${channel}analysis${message}`,
  close: HARMONY_MARKS.end,
} as const;
const ENDS = [HARMONY_MARKS.end, HARMONY_MARKS.call, HARMONY_MARKS.return];
/** `<|start|>assistant to=functions.` and a name are fewer. */
const MAX_HEADER_CHARS = 512;
const HEADER =
  /^\s*(?:<\|start\|>assistant)?\s*(?:to=[^\s<]+\s*)?<\|channel\|>/;
const HEADER_BEGINNINGS = [start, channel, "to="];

/** Where a reply begins: with a header, or within a message that is continued. */
export type HarmonyState = "header" | "analysis" | "final";

/** The beginning of a message that is continued. */
export function continuedHarmony(state: HarmonyState, text: string): string {
  return state === "header" ? text : `${channel}${state}${message}${text}`;
}

export function* readHarmony(
  reading: Reading,
  state: HarmonyState,
  scope: CallScope,
): Reads {
  if (state !== "header") {
    yield* readMessage(reading, state === "final" ? "content" : "reasoning");
  }
  while (yield* reading.more(0)) {
    const header = yield* readHeader(reading);
    if (header === undefined) break;
    const to = /\sto=(?:functions\.)?([^\s<]+)/.exec(` ${header}`)?.[1];
    if (to !== undefined && scope.tool(to) !== undefined) {
      const write = scope.begin(reading, to);
      yield* readToEnd(reading, write);
    } else if (to !== undefined) {
      // A call of what is no tool is shown as it is written.
      reading.write({ kind: "content", text: header + message });
      yield* readMessage(reading, "content");
    } else {
      const isThought = header.includes(`${channel}analysis`);
      yield* readMessage(reading, isThought ? "reasoning" : "content");
    }
  }
  yield* reading.until([], (text) => reading.write({ kind: "content", text }));
}

/** What is before a message's text. Undefined: there is no header, and nothing was read. */
function* readHeader(reading: Reading): Reads<string | undefined> {
  let at: number;
  while ((at = reading.rest.indexOf(message)) < 0) {
    const { rest } = reading;
    if (rest.length > MAX_HEADER_CHARS + message.length) return undefined;
    const begun = rest.trimStart();
    const mayBegin = HEADER_BEGINNINGS.some(
      (mark) => mark.startsWith(begun) || begun.startsWith(mark),
    );
    if (!mayBegin || !(yield* reading.more(rest.length))) return undefined;
  }
  const header = reading.rest.slice(0, at);
  if (at > MAX_HEADER_CHARS || !HEADER.test(header)) return undefined;
  reading.take(at + message.length);
  return header;
}

const readMessage = (reading: Reading, kind: "content" | "reasoning"): Reads =>
  readToEnd(reading, (text) => reading.write({ kind, text }));

function* readToEnd(reading: Reading, write: (text: string) => void): Reads {
  const end = yield* reading.until(ENDS, write);
  if (end !== undefined) reading.take(end.length);
}
