/** The JSON of a chat's answer, whole and in chunks (https://platform.openai.com/docs/api-reference/chat). */
import type { ReplyDelta } from "../../chat/index.ts";
import type { AnswerHead, AnswerShape, Choice, FinishReason } from "../api.ts";
import type { ChatOrder } from "./chat.ts";
import { chatLogprobs } from "./logprobs.ts";
import { baseOf, DONE, usageOf } from "./usage.ts";

/** Chunks have `usage` null until the last one, if the client requested it. */
export function chatShape(head: AnswerHead, order: ChatOrder): AnswerShape {
  const { includeUsage, isOldForm } = order;
  const base = baseOf("chatcmpl", head);
  const chunks = { ...base, object: "chat.completion.chunk" };
  const chunk = (
    index: number,
    delta: object,
    finish: string | null = null,
    logprobs: object | null = null,
  ): object => ({
    ...chunks,
    choices: [{ index, delta, logprobs, finish_reason: finish }],
    ...(includeUsage ? { usage: null } : {}),
  });
  const deltaOf = isOldForm ? oldDelta : newDelta;
  return {
    opening: (index) => [chunk(index, { role: "assistant", content: "" })],
    part: (index, { deltas, logprobs }) => {
      const told = chatLogprobs(logprobs, head.tokenizer);
      const all = deltas.map(deltaOf);
      if (all.length === 0) all.push({});
      return all.map((delta, i) =>
        chunk(index, delta, null, i === 0 ? told : null),
      );
    },
    closing: (index, { finish }) => [
      chunk(index, {}, finishOf(finish, isOldForm)),
    ],
    end: (counts) => [
      ...(includeUsage
        ? [{ ...chunks, choices: [], usage: usageOf(counts) }]
        : []),
      DONE,
    ],
    whole: (choices, counts) => ({
      ...base,
      object: "chat.completion",
      choices: choices.map((choice, index) => ({
        index,
        message: messageOf(choice, isOldForm),
        logprobs: chatLogprobs(choice.logprobs, head.tokenizer),
        finish_reason: finishOf(choice.finish, isOldForm),
      })),
      usage: usageOf(counts),
    }),
  };
}

const finishOf = (finish: FinishReason, isOldForm: boolean): string =>
  finish === "tool_calls" && isOldForm ? "function_call" : finish;

function newDelta(delta: ReplyDelta): object {
  if (delta.kind === "content") return { content: delta.text };
  if (delta.kind === "reasoning") return { reasoning_content: delta.text };
  const { index } = delta;
  if (delta.kind === "arguments")
    return { tool_calls: [{ index, function: { arguments: delta.text } }] };
  const { id, name } = delta;
  const call = { name, arguments: "" };
  return { tool_calls: [{ index, id, type: "function", function: call }] };
}

/** As it was before `tools`: one call, without an id. */
function oldDelta(delta: ReplyDelta): object {
  if (delta.kind === "call")
    return { function_call: { name: delta.name, arguments: "" } };
  if (delta.kind === "arguments")
    return { function_call: { arguments: delta.text } };
  return newDelta(delta);
}

function messageOf(
  { content, reasoning, calls }: Choice,
  isOldForm: boolean,
): object {
  const functions = calls.map(({ id, ...call }) => ({ id, call }));
  const [first] = functions;
  return {
    role: "assistant",
    content: content === "" && first !== undefined ? null : content,
    refusal: null,
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(first !== undefined &&
      (isOldForm
        ? { function_call: first.call }
        : {
            tool_calls: functions.map(({ id, call }) => ({
              id,
              type: "function",
              function: call,
            })),
          })),
  };
}
