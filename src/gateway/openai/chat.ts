/** POST /v1/chat/completions: a body and its meaning. */
import { z } from "zod";
import type { ChatRequest, Json } from "../../chat/index.ts";
import type { Order, ParseContext } from "../api.ts";
import {
  anObject,
  commonOrder,
  commonShape,
  flag,
  limitOf,
  parseBody,
  text,
  tokenCount,
  topCount,
} from "./common-fields.ts";
import { holdOf, holdShape } from "./hold.ts";
import { invalid } from "../validate.ts";
import { messages } from "./messages.ts";
import { toolsOf, toolsShape } from "./tools.ts";

const MAX_DOCUMENTS = 1024;
/** Templates know a handful. */
const MAX_TEMPLATE_FIELDS = 64;

/** What a chat template gets besides the messages. Its depth is the template's to bound. */
const jsonObject = z.record(z.string(), z.custom<Json>(), { error: anObject });

const effort = text("must be a string").max(32, {
  error: "must have at most 32 characters",
});

const chatSchema = z.object({
  ...commonShape,
  ...toolsShape,
  ...holdShape,
  chat_template_kwargs: jsonObject
    .refine((given) => Object.keys(given).length <= MAX_TEMPLATE_FIELDS, {
      error: `must have at most ${MAX_TEMPLATE_FIELDS} fields`,
    })
    .nullish(),
  documents: z
    .array(jsonObject, { error: "must be a list of objects" })
    .max(MAX_DOCUMENTS, {
      error: `must have at most ${MAX_DOCUMENTS} documents`,
    })
    .nullish(),
  enable_thinking: flag.nullish(),
  reasoning_effort: effort.nullish(),
  /** As llama.cpp's server has it: the most tokens that may be thought with; negative: no limit. */
  thinking_budget_tokens: tokenCount.nullish(),
  /** OpenRouter's form of it. */
  reasoning: z
    .object(
      { effort: effort.nullish(), enabled: flag.nullish() },
      { error: anObject },
    )
    .nullish(),
  /** "none" leaves what the model thinks in the content, as llama.cpp's server does. */
  reasoning_format: text("must be a string").nullish(),
  /** Of vLLM: a last message of the assistant is answered, not continued. */
  continue_final_message: flag.nullish(),
  max_completion_tokens: tokenCount.nullish(),
  logprobs: flag.nullish(),
  top_logprobs: topCount.nullish(),
  /** llama.cpp's name for both. */
  n_probs: topCount.nullish(),
  messages,
});

export interface ChatOrder extends Order {
  /** Its tools came as `functions`: a call is told in that form. */
  isOldForm: boolean;
}

export function parseChat(body: unknown, context: ParseContext): ChatOrder {
  const fields = parseBody(chatSchema, body, context);
  const { reasoning, chat_template_kwargs: variables } = fields;
  const limit =
    fields.max_completion_tokens ?? fields.max_tokens ?? fields.n_predict ?? -1;
  const ofTemplate = variables?.enable_thinking;
  const chat: ChatRequest = {
    messages: fields.messages,
    ...toolsOf(fields),
    hold: holdOf(fields),
    documents: fields.documents ?? undefined,
    enableThinking:
      fields.enable_thinking ??
      reasoning?.enabled ??
      (typeof ofTemplate === "boolean" ? ofTemplate : undefined),
    reasoningEffort: fields.reasoning_effort ?? reasoning?.effort ?? undefined,
    thoughtTokens: limitOf(fields.thinking_budget_tokens ?? -1),
    variables: variables ?? undefined,
    continueLast: fields.continue_final_message ?? true,
  };
  return {
    ...commonOrder(fields, logprobsOf(fields)),
    maxTokens: limitOf(limit),
    isOldForm: Boolean(fields.functions?.length) && !fields.tools?.length,
    prompts: [
      {
        kind: "chat",
        chat,
        isReasoningContent: fields.reasoning_format === "none",
      },
    ],
  };
}

function logprobsOf(fields: z.infer<typeof chatSchema>): number | undefined {
  const { logprobs, top_logprobs: top, n_probs: count } = fields;
  if (logprobs === true) return top ?? count ?? 0;
  if (top) throw invalid("top_logprobs", "needs `logprobs` to be true");
  return count || undefined;
}
