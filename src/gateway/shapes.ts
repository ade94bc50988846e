/** The JSON of answers, whole and in chunks (https://platform.openai.com/docs/api-reference/chat, …/completions). */

import type { SessionStatus } from "../inference/index.ts";
import { type Times, timesOf } from "./timing.ts";

export type FinishReason = "stop" | "length";

export interface AnswerHead {
  requestId: string;
  /** The name the model is served by. */
  model: string;
  /** What decides the bits of a reply besides the request. */
  fingerprint: string;
  createdS: number;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens: number };
  /** Where the time of the first choice went, and what happened to all. */
  shoal?: Times;
}

/** One of the answers to a request. */
export interface Choice {
  text: string;
  finish: FinishReason;
}

/** One kind of answer. Chunks have `usage` null until the last one, if the client requested it; `index` is their choice. */
export interface AnswerShape {
  /** Before any text; undefined if this kind has no such chunk. */
  opening(index: number): object | undefined;
  text(index: number, text: string): object;
  closing(index: number, finish: FinishReason): object;
  usage(usage: Usage): object;
  whole(choices: readonly Choice[], usage: Usage): object;
}

export function usageOf(
  promptTokens: number,
  completionTokens: number,
  sessions: readonly SessionStatus[],
): Usage {
  const [first] = sessions;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(first && {
      prompt_tokens_details: { cached_tokens: first.cachedTokens },
      shoal: {
        ...timesOf(first),
        recoveries: sessions.reduce((sum, one) => sum + one.recoveries, 0),
        recomputed: sessions.some(({ recomputed }) => recomputed),
      },
    }),
  };
}

export function chatShape(
  head: AnswerHead,
  includeUsage: boolean,
): AnswerShape {
  const base = baseOf("chatcmpl", head);
  const chunk = (
    index: number,
    delta: object,
    finish: FinishReason | null,
  ): object => ({
    ...base,
    object: "chat.completion.chunk",
    choices: [{ index, delta, logprobs: null, finish_reason: finish }],
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    opening: (index) => chunk(index, { role: "assistant", content: "" }, null),
    text: (index, text) => chunk(index, { content: text }, null),
    closing: (index, finish) => chunk(index, {}, finish),
    usage: (usage) => ({
      ...base,
      object: "chat.completion.chunk",
      choices: [],
      usage,
    }),
    whole: (choices, usage) => ({
      ...base,
      object: "chat.completion",
      choices: choices.map(({ text, finish }, index) => ({
        index,
        message: { role: "assistant", content: text, refusal: null },
        logprobs: null,
        finish_reason: finish,
      })),
      usage,
    }),
  };
}

export function completionShape(
  head: AnswerHead,
  includeUsage: boolean,
): AnswerShape {
  const base = { ...baseOf("cmpl", head), object: "text_completion" };
  const chunk = (one: object): object => ({
    ...base,
    choices: [one],
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    opening: () => undefined,
    text: (index, text) => chunk(choice(index, text, null)),
    closing: (index, finish) => chunk(choice(index, "", finish)),
    usage: (usage) => ({ ...base, choices: [], usage }),
    whole: (choices, usage) => ({
      ...base,
      choices: choices.map(({ text, finish }, i) => choice(i, text, finish)),
      usage,
    }),
  };
}

function choice(
  index: number,
  text: string,
  finish: FinishReason | null,
): object {
  return { text, index, logprobs: null, finish_reason: finish };
}

function baseOf(prefix: string, head: AnswerHead): object {
  return {
    id: `${prefix}-${head.requestId}`,
    created: head.createdS,
    model: head.model,
    system_fingerprint: head.fingerprint,
  };
}
