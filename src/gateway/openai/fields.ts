/** The two kinds of requests for text: their bodies and their meaning. */
import { z } from "zod";
import type { Json } from "../../chat/index.ts";
import {
  MAX_LOGIT_BIASES,
  MAX_REPEAT_LAST_N,
  SAMPLING_DEFAULTS,
  samplingFields,
} from "../../engine/index.ts";
import type { Order } from "../api.ts";
import { invalid, validate } from "../validate.ts";
import { refuseUnsupported } from "./parameters.ts";

/** A longer conversation fits no context; each message costs a pass through the template. */
const MAX_MESSAGES = 2048;
const MAX_CONTENT_PARTS = 1024;
/** As many as parts of a message. */
const MAX_DOCUMENTS = 1024;
/** Templates know a handful. */
const MAX_TEMPLATE_FIELDS = 64;
/** OpenAI's bound. */
const MAX_STOPS = 4;
/** Text that may begin a stop string is held back from the client, so a longer one would hide the stream. */
const MAX_STOP_CHARS = 256;
/** Each is a session of its own. */
const MAX_CHOICES = 16;
/** OpenAI's default of `max_tokens` for /v1/completions; a chat's is what the context leaves. */
const DEFAULT_COMPLETION_TOKENS = 16;

const text = (error: string): z.ZodString => z.string({ error });

const TOKEN_COUNT = "must be a whole number of at least 1, or -1 for no limit";
const tokenCount = z
  .int({ error: TOKEN_COUNT })
  .refine((count) => count >= 1 || count === -1, { error: TOKEN_COUNT });

const CHOICES = `must be a whole number between 1 and ${MAX_CHOICES}`;
const choiceCount = z
  .int({ error: CHOICES })
  .min(1, { error: CHOICES })
  .max(MAX_CHOICES, { error: CHOICES });

const stopString = text("must be a string")
  .max(MAX_STOP_CHARS, {
    error: `must have at most ${MAX_STOP_CHARS} characters`,
  })
  .refine((stop) => stop.isWellFormed(), { error: "must be valid Unicode" });

const REPEAT_LAST_N = `must be a whole number between -1 and ${MAX_REPEAT_LAST_N}`;
/** -1 is the whole context, as in llama.cpp's server. */
const repeatLastN = z
  .int({ error: REPEAT_LAST_N })
  .min(-1, { error: REPEAT_LAST_N })
  .max(MAX_REPEAT_LAST_N, { error: REPEAT_LAST_N });

/** As in llama.cpp's server, where clients say -1 for "all tokens". */
const negativeIsOff = (value: unknown): unknown =>
  Number.isSafeInteger(value) && (value as number) < 0 ? 0 : value;

/** A bigint if JSON has more digits than a double. */
const seed = z.custom<number | bigint>(
  (value) =>
    Number.isSafeInteger(value) ||
    (typeof value === "bigint" && value >= -(2n ** 63n) && value < 2n ** 64n),
  { error: "must be an integer of at most 64 bits" },
);

/** The common part of both kinds. null is the same as absent, as in OpenAI's API. */
const common = {
  model: text("must be the name of a model"),
  max_tokens: tokenCount.nullish(),
  n: choiceCount.nullish(),
  stop: z
    .preprocess(
      (value) => (typeof value === "string" ? [value] : value),
      z
        .array(stopString, { error: "must be a string or a list of strings" })
        .max(MAX_STOPS, { error: `must have at most ${MAX_STOPS} strings` })
        .transform((stops) => stops.filter((stop) => stop !== "")), // stops nothing, as in llama.cpp's server
    )
    .nullish(),
  stream: z.boolean({ error: "must be true or false" }).nullish(),
  stream_options: z
    .object(
      {
        include_usage: z.boolean({ error: "must be true or false" }).nullish(),
        include_progress: z
          .boolean({ error: "must be true or false" })
          .nullish(),
      },
      { error: "must be an object" },
    )
    .nullish(),
  temperature: samplingFields.temperature.nullish(),
  top_p: samplingFields.topP.nullish(),
  top_k: z.preprocess(negativeIsOff, samplingFields.topK.nullish()),
  min_p: samplingFields.minP.nullish(),
  repeat_penalty: samplingFields.repeatPenalty.nullish(),
  repeat_last_n: repeatLastN.nullish(),
  frequency_penalty: samplingFields.frequencyPenalty.nullish(),
  presence_penalty: samplingFields.presencePenalty.nullish(),
  seed: seed.nullish(),
  logit_bias: z
    .record(z.string(), samplingFields.bias, {
      error: "must be an object of token ids and biases",
    })
    .nullish(),
};

/** A part of a message's content. Only text: the models served here read nothing else. */
const contentPart = z.object(
  {
    type: z.literal("text", {
      error: 'must be "text", the only kind of part supported',
    }),
    text: text("must be a string"),
  },
  { error: "must be a text part" },
);

/** Parts are joined as llama.cpp's server does (`common_chat_msgs_to_json_oaicompat`): one line each. */
const content = z.preprocess(
  (value) =>
    typeof value === "string" ? [{ type: "text", text: value }] : value,
  z
    .array(contentPart, { error: "must be a string or a list of text parts" })
    .max(MAX_CONTENT_PARTS, {
      error: `must have at most ${MAX_CONTENT_PARTS} parts`,
    })
    .transform((parts) => parts.map((part) => part.text).join("\n")),
);

const message = z.preprocess(
  emptyWithoutContent,
  z
    .object(
      {
        role: z.enum(["system", "developer", "user", "assistant"], {
          error: 'must be "system", "developer", "user" or "assistant"',
        }),
        content,
        tool_calls: z
          .array(z.unknown())
          .max(0, { error: "must be empty: tool calling is not implemented" })
          .nullish(),
      },
      { error: "must be an object" },
    )
    .transform(({ role, content }) => ({ role, content })),
);

/** An assistant's turn may be empty: clients then send null or no content. */
function emptyWithoutContent(message: unknown): unknown {
  if (typeof message !== "object" || message === null) return message;
  const { role, content = null } = message as Record<string, unknown>;
  return role === "assistant" && content === null
    ? { ...message, content: "" }
    : message;
}

/** What a chat template gets besides the messages. Its depth is the template's to bound. */
const jsonObject = z.record(z.string(), z.custom<Json>(), {
  error: "must be an object",
});

const chatSchema = z.object({
  ...common,
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
  enable_thinking: z.boolean({ error: "must be true or false" }).nullish(),
  max_completion_tokens: tokenCount.nullish(),
  messages: z
    .array(message, { error: "must be a list of messages" })
    .min(1, { error: "must have at least one message" })
    .max(MAX_MESSAGES, { error: `must have at most ${MAX_MESSAGES} messages` }),
});

const ONE_PROMPT =
  "must be a single string or list of token ids; several prompts are not supported";
const tokenIds = z.array(z.int().min(0)).min(1, { error: ONE_PROMPT });

const completionSchema = z.object({
  ...common,
  prompt: z.union(
    [
      z.string(),
      tokenIds,
      // OpenAI's API takes several prompts at once; a list of one is common.
      z.tuple([z.string()]).transform(([only]) => only),
      z.tuple([tokenIds]).transform(([only]) => only),
    ],
    { error: ONE_PROMPT },
  ),
});

export function parseChat(body: unknown): Order {
  const fields = parse(chatSchema, body);
  return {
    ...orderOf(fields),
    maxTokens: limitOf(fields.max_completion_tokens ?? fields.max_tokens ?? -1),
    prompts: [
      {
        kind: "chat",
        chat: {
          messages: fields.messages,
          toolChoice: "auto",
          parallelToolCalls: true,
          documents: fields.documents ?? undefined,
          enableThinking: fields.enable_thinking ?? undefined,
          variables: fields.chat_template_kwargs ?? undefined,
        },
      },
    ],
  };
}

export function parseCompletion(body: unknown): Order {
  const fields = parse(completionSchema, body);
  const { prompt } = fields;
  return {
    ...orderOf(fields),
    maxTokens: limitOf(fields.max_tokens ?? DEFAULT_COMPLETION_TOKENS),
    prompts: [
      typeof prompt === "string"
        ? { kind: "text", text: prompt }
        : { kind: "tokens", tokens: prompt },
    ],
  };
}

function parse<T>(schema: z.ZodType<T> & { shape: object }, body: unknown): T {
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    refuseUnsupported(body, Object.keys(schema.shape));
  }
  return validate(schema, body);
}

const commonSchema = z.object(common);

function orderOf(
  fields: z.infer<typeof commonSchema>,
): Omit<Order, "prompts" | "maxTokens"> {
  const otherwise = SAMPLING_DEFAULTS;
  return {
    model: fields.model,
    choices: fields.n ?? 1,
    stop: fields.stop ?? [],
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
    includeProgress: fields.stream_options?.include_progress ?? false,
    sampling: {
      ...otherwise,
      temperature: fields.temperature ?? otherwise.temperature,
      topK: fields.top_k ?? otherwise.topK,
      topP: fields.top_p ?? otherwise.topP,
      minP: fields.min_p ?? otherwise.minP,
      repeatPenalty: fields.repeat_penalty ?? otherwise.repeatPenalty,
      repeatLastN:
        limitOf(fields.repeat_last_n ?? otherwise.repeatLastN) ?? Infinity,
      frequencyPenalty: fields.frequency_penalty ?? otherwise.frequencyPenalty,
      presencePenalty: fields.presence_penalty ?? otherwise.presencePenalty,
      seed: seedOf(fields.seed),
      logitBias: logitBiasOf(fields.logit_bias ?? {}),
    },
  };
}

/** undefined if there is none. */
const limitOf = (count: number): number | undefined =>
  count === -1 ? undefined : count;

/** OpenAI's seeds have 64 bits, the engine's 32: the low ones. -1 is "any", as in llama.cpp's server. */
function seedOf(seed: number | bigint | null | undefined): number | undefined {
  if (seed === null || seed === undefined || seed === -1) return undefined;
  return Number(BigInt.asUintN(32, BigInt(seed)));
}

/** {"50256": -100} → [[50256, -100]]. Whether the tokens exist is checked once the model is known. */
function logitBiasOf(
  biases: Readonly<Record<string, number>>,
): [number, number][] {
  const entries = Object.entries(biases);
  if (entries.length > MAX_LOGIT_BIASES) {
    throw invalid("logit_bias", `must have at most ${MAX_LOGIT_BIASES} tokens`);
  }
  return entries.map(([token, bias]) => {
    if (!/^\d{1,9}$/.test(token)) {
      throw invalid("logit_bias", "must have token ids as its keys");
    }
    return [Number(token), bias];
  });
}
