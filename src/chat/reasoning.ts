import type { Reading, Reads } from "./reading.ts";

/** The marks around what a model thinks before it answers. */
export interface ReasoningMarks {
  readonly open: string;
  readonly close: string;
}

/** In the order in which a template is asked for them. */
export const REASONING_MARKS: readonly ReasoningMarks[] = [
  { open: "<seed:think>", close: "</seed:think>" },
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
  { open: "[THINK]", close: "[/THINK]" },
  { open: "<|inner_prefix|>", close: "<|inner_suffix|>" },
  { open: "<thinking>", close: "</thinking>" },
  { open: "<think>", close: "</think>" },
  {
    open: "Here is my thought process:",
    close: "Here is my response:",
  },
];

/** Where the reply is when it begins: thinking, if the prompt opened it; answering, if the prompt closed it; else it may open it itself. */
export type ReasoningState = "open" | "closed" | "optional";

export interface Reasoning {
  readonly marks: ReasoningMarks;
  readonly state: ReasoningState;
}

/** The marks that the template writes. R1's template only knows the end. */
export function reasoningMarks(source: string): ReasoningMarks | undefined {
  return REASONING_MARKS.find(({ close }) => source.includes(close));
}

export function reasoningState(
  prompt: string,
  { open, close }: ReasoningMarks,
): ReasoningState {
  const text = prompt.trimEnd();
  if (text.endsWith(open)) return "open";
  return text.endsWith(close) ? "closed" : "optional";
}

/** True: the reply goes on within what the model thinks; the mark and the white space after it were read. */
export function* beginsThinking(
  reading: Reading,
  { marks, state }: Reasoning,
): Reads<boolean> {
  if (state === "closed") return false;
  // Where the prompt opened it, models open it again at times.
  const isOpened = yield* reading.acceptNext(marks.open);
  if (state === "optional" && !isOpened) return false;
  yield* reading.space();
  return true;
}

/**
 * Reads what the model thinks, to its end and the white space around that. One of `ends` (the beginning of a call) ends it too: models forget
 * to close it. It is given, and comes next.
 */
export function* readThoughts(
  reading: Reading,
  { close }: ReasoningMarks,
  ends: readonly string[] = [],
): Reads<string | undefined> {
  const write = (text: string): void =>
    reading.write({ kind: "reasoning", text });
  const all = [close, ...ends];
  const end = yield* reading.until(all, write, { trim: true });
  if (end !== close) return end;
  yield* reading.acceptNext(close);
  yield* reading.space();
  return undefined;
}
