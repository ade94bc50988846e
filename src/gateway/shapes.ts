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
  /** Where the time went. */
  shoal?: Times;
}

/** One kind of answer. Chunks have `usage` null until the last one, if the client requested it. */
export interface AnswerShape {
  /** Before any text; undefined if this kind has no such chunk. */
  opening(): object | undefined;
  text(text: string): object;
  closing(finish: FinishReason): object;
  usage(usage: Usage): object;
  whole(text: string, finish: FinishReason, usage: Usage): object;
}

export function usageOf(
  promptTokens: number,
  completionTokens: number,
  session?: SessionStatus,
): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(session && {
      prompt_tokens_details: { cached_tokens: session.cachedTokens },
      shoal: timesOf(session),
    }),
  };
}

export function chatShape(
  head: AnswerHead,
  includeUsage: boolean,
): AnswerShape {
  const base = baseOf("chatcmpl", head);
  const chunk = (delta: object, finish: FinishReason | null): object => ({
    ...base,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    opening: () => chunk({ role: "assistant", content: "" }, null),
    text: (text) => chunk({ content: text }, null),
    closing: (finish) => chunk({}, finish),
    usage: (usage) => ({
      ...base,
      object: "chat.completion.chunk",
      choices: [],
      usage,
    }),
    whole: (text, finish, usage) => ({
      ...base,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: text, refusal: null },
          logprobs: null,
          finish_reason: finish,
        },
      ],
      usage,
    }),
  };
}

export function completionShape(
  head: AnswerHead,
  includeUsage: boolean,
): AnswerShape {
  const base = { ...baseOf("cmpl", head), object: "text_completion" };
  const chunk = (text: string, finish: FinishReason | null): object => ({
    ...base,
    choices: choices(text, finish),
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    opening: () => undefined,
    text: (text) => chunk(text, null),
    closing: (finish) => chunk("", finish),
    usage: (usage) => ({ ...base, choices: [], usage }),
    whole: (text, finish, usage) => ({
      ...base,
      choices: choices(text, finish),
      usage,
    }),
  };
}

function choices(text: string, finish: FinishReason | null): object[] {
  return [{ text, index: 0, logprobs: null, finish_reason: finish }];
}

function baseOf(prefix: string, head: AnswerHead): object {
  return {
    id: `${prefix}-${head.requestId}`,
    created: head.createdS,
    model: head.model,
    system_fingerprint: head.fingerprint,
  };
}
