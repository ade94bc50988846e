/** The JSON of answers, whole and in chunks (https://platform.openai.com/docs/api-reference/chat, …/completions). */
import type {
  AnswerHead,
  AnswerShape,
  Choice,
  Counts,
  FinishReason,
  Order,
} from "../api.ts";
import type { ReplyDelta } from "../chat-port.ts";
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
const DONE = "[DONE]";

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

/** Chunks have `usage` null until the last one, if the client requested it. */
export function chatShape(head: AnswerHead, order: Order): AnswerShape {
  const base = baseOf("chatcmpl", head);
  const { includeUsage } = order;
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
    opening: (index) => [
      chunk(index, { role: "assistant", content: "" }, null),
    ],
    part: (index, { deltas }) =>
      deltas.map((delta) => chunk(index, deltaOf(delta), null)),
    closing: (index, { finish }) => [chunk(index, {}, finish)],
    end: (counts) => [
      ...(includeUsage
        ? [
            {
              ...base,
              object: "chat.completion.chunk",
              choices: [],
              usage: usageOf(counts),
            },
          ]
        : []),
      DONE,
    ],
    whole: (choices, counts) => ({
      ...base,
      object: "chat.completion",
      choices: choices.map((choice, index) => ({
        index,
        message: messageOf(choice),
        logprobs: null,
        finish_reason: choice.finish,
      })),
      usage: usageOf(counts),
    }),
  };
}

function deltaOf(delta: ReplyDelta): object {
  if (delta.kind === "content") return { content: delta.text };
  if (delta.kind === "reasoning") return { reasoning_content: delta.text };
  const { index } = delta;
  if (delta.kind === "arguments")
    return { tool_calls: [{ index, function: { arguments: delta.text } }] };
  const { id, name } = delta;
  const call = { name, arguments: "" };
  return { tool_calls: [{ index, id, type: "function", function: call }] };
}

function messageOf({ content, reasoning, calls }: Choice): object {
  return {
    role: "assistant",
    content: content === "" && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, ...call }) => ({
        id,
        type: "function",
        function: call,
      })),
    }),
  };
}

export function completionShape(head: AnswerHead, order: Order): AnswerShape {
  const base = { ...baseOf("cmpl", head), object: "text_completion" };
  const { includeUsage } = order;
  const chunk = (one: object): object => ({
    ...base,
    choices: [one],
    ...(includeUsage ? { usage: null } : {}),
  });
  return {
    opening: () => [],
    part: (index, { deltas }) =>
      deltas.flatMap((delta) =>
        delta.kind === "content" ? [chunk(choiceOf(index, delta.text))] : [],
      ),
    closing: (index, { finish }) => [chunk(choiceOf(index, "", finish))],
    end: (counts) => [
      ...(includeUsage
        ? [{ ...base, choices: [], usage: usageOf(counts) }]
        : []),
      DONE,
    ],
    whole: (choices, counts) => ({
      ...base,
      choices: choices.map(({ content, finish }, index) =>
        choiceOf(index, content, finish),
      ),
      usage: usageOf(counts),
    }),
  };
}

function choiceOf(
  index: number,
  text: string,
  finish: FinishReason | null = null,
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
