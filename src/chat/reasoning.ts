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

/**
 * Reads what the model thinks, without the white space around it. One of `ends` (the beginning of a call) ends it too, and is returned: models
 * forget to close it.
 */
export function* readReasoning(
  reading: Reading,
  { marks, state }: Reasoning,
  ends: readonly string[] = [],
): Reads<string | undefined> {
  if (state === "closed") return undefined;
  if (state === "optional" && !(yield* opens(reading, marks.open))) {
    return undefined;
  }
  yield* reading.space();
  const write = (text: string): void =>
    reading.write({ kind: "reasoning", text });
  const end = yield* reading.until([marks.close, ...ends], write, {
    trim: true,
  });
  if (end !== marks.close) return end;
  yield* reading.space();
  return undefined;
}

function* opens(reading: Reading, open: string): Reads<boolean> {
  reading.mark();
  yield* reading.space();
  const isOpen = yield* reading.accept(open);
  if (isOpen) reading.commit();
  else reading.goBack();
  return isOpen;
}
