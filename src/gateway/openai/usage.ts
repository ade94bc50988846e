/** What both kinds of answers have in common. */
import type { AnswerHead, Counts } from "../api.ts";
import { type Times, timesOf } from "../timing.ts";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens: number };
  /** Where the time of the first choice went, and what happened to all. */
  shoal?: Times;
}

/** The end of every stream. */
export const DONE = "[DONE]";

export function usageOf({
  promptTokens,
  completionTokens,
  sessions,
}: Counts): Usage {
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

export function baseOf(prefix: string, head: AnswerHead): object {
  return {
    id: `${prefix}-${head.requestId}`,
    created: head.createdS,
    model: head.model,
    system_fingerprint: head.fingerprint,
  };
}
