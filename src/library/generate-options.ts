/** What a client may ask of a reply. */
import { z } from "zod";
import {
  MAX_LOGIT_BIASES,
  SAMPLING_DEFAULTS,
  samplingFields,
} from "../engine/index.ts";
import type { ReplyRequest } from "../gateway/index.ts";
import { check, signal, text, whole } from "./check.ts";

export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant";
  content: string;
}

/** How the next token is drawn. The defaults are llama.cpp's. */
export interface GenerateOptions {
  /** Tokens to generate, at most. Default: what the context leaves. */
  maxTokens?: number | undefined;
  /** The reply ends before any of these. */
  stop?: string | readonly string[] | undefined;
  /** 0 always takes the most probable token. Default: 0.8. */
  temperature?: number | undefined;
  /** Draw among the k most probable tokens; 0 is all. Default: 40. */
  topK?: number | undefined;
  /** Draw among the fewest tokens whose probabilities sum to this. Default: 0.95. */
  topP?: number | undefined;
  /** Drop tokens less probable than this times the most probable one. Default: 0.05. */
  minP?: number | undefined;
  /** Divides the logits of recent tokens. Default: 1, off. */
  repeatPenalty?: number | undefined;
  /** How many tokens are recent. Default: 64. */
  repeatLastN?: number | undefined;
  /** Subtracted from a logit for each recent occurrence. Default: 0. */
  frequencyPenalty?: number | undefined;
  /** Subtracted from the logits of recent tokens. Default: 0. */
  presencePenalty?: number | undefined;
  /** The same seed gives the same text. Default: a random one. */
  seed?: number | undefined;
  /** Added to the logits of single tokens. */
  logitBias?: readonly (readonly [token: number, bias: number])[] | undefined;
  /** Ends the generation. */
  signal?: AbortSignal | undefined;
}

/** As the API has them: text that may begin a stop string is held back. */
const MAX_STOPS = 4;
const MAX_STOP_CHARS = 256;
const MAX_MESSAGES = 2048;
/** The largest body the API takes. */
const MAX_PROMPT_CHARS = 4 * 1024 * 1024;

const stopString = text("a string or a list of strings", MAX_STOP_CHARS);
const { bias, ...sampling } = samplingFields;

const schema = z.strictObject({
  ...z.object(sampling).partial().shape,
  maxTokens: whole(1, 2 ** 31 - 1).optional(),
  stop: z
    .union(
      [
        stopString.transform((one) => [one]),
        z.array(stopString).max(MAX_STOPS).readonly(),
      ],
      {
        error: `must be a string or a list of up to ${MAX_STOPS}, each of 1 to ${MAX_STOP_CHARS} characters`,
      },
    )
    .default([]),
  logitBias: z
    .array(z.tuple([whole(0, 2 ** 31 - 1), bias]).readonly())
    .max(MAX_LOGIT_BIASES, {
      error: `must have at most ${MAX_LOGIT_BIASES} tokens`,
    })
    .readonly()
    .default([]),
  signal: signal.optional(),
});

const promptSchema = z.strictObject({
  prompt: text("the text to continue", MAX_PROMPT_CHARS),
});

const messagesSchema = z.strictObject({
  messages: z
    .array(
      z.strictObject(
        {
          role: z.enum(["system", "developer", "user", "assistant"], {
            error: 'must be "system", "developer", "user" or "assistant"',
          }),
          content: z
            .string({ error: "must be a string" })
            .max(MAX_PROMPT_CHARS, {
              error: `must have at most ${MAX_PROMPT_CHARS} characters`,
            }),
        },
        { error: "must be { role, content }" },
      ),
      { error: "must be a string or a list of messages" },
    )
    .min(1, { error: "must have at least one message" })
    .max(MAX_MESSAGES, { error: `must have at most ${MAX_MESSAGES} messages` })
    .readonly(),
});

export function generateRequest(
  prompt: string,
  options: GenerateOptions = {},
): ReplyRequest {
  const what = "client.generate";
  const given = check(what, promptSchema, { prompt });
  return {
    prompts: [{ kind: "text", text: given.prompt }],
    ...drawing(what, options),
  };
}

export function chatRequest(
  messages: string | readonly ChatMessage[],
  options: GenerateOptions = {},
): ReplyRequest {
  const what = "client.chat";
  const list: readonly ChatMessage[] =
    typeof messages === "string"
      ? [{ role: "user", content: messages }]
      : messages;
  const given = check(what, messagesSchema, { messages: list });
  return {
    prompts: [
      {
        kind: "chat",
        chat: {
          messages: given.messages,
          toolChoice: "auto",
          parallelToolCalls: true,
        },
        isReasoningContent: true,
      },
    ],
    ...drawing(what, options),
  };
}

function drawing(
  what: string,
  options: GenerateOptions,
): Omit<ReplyRequest, "prompts"> {
  const { maxTokens, stop, signal: _, ...drawn } = check(what, schema, options);
  const otherwise = SAMPLING_DEFAULTS;
  return {
    maxTokens,
    stop,
    sampling: {
      ...otherwise,
      temperature: drawn.temperature ?? otherwise.temperature,
      topK: drawn.topK ?? otherwise.topK,
      topP: drawn.topP ?? otherwise.topP,
      minP: drawn.minP ?? otherwise.minP,
      repeatPenalty: drawn.repeatPenalty ?? otherwise.repeatPenalty,
      repeatLastN: drawn.repeatLastN ?? otherwise.repeatLastN,
      frequencyPenalty: drawn.frequencyPenalty ?? otherwise.frequencyPenalty,
      presencePenalty: drawn.presencePenalty ?? otherwise.presencePenalty,
      seed: drawn.seed,
      logitBias: drawn.logitBias,
    },
  };
}
