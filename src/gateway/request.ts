/** The two kinds of requests for text: what their bodies may hold, and what they come down to. */
import { z } from "zod";
import {
  type ChatMessage,
  MAX_LOGIT_BIASES,
  SAMPLING_DEFAULTS,
  samplingFields,
  type SamplingOptions,
} from "../engine/index.ts";
import { refuseUnsupported } from "./parameters.ts";
import { invalid, validate } from "./validate.ts";

/** A conversation longer than this fits no context; each message costs a pass through the template. */
const MAX_MESSAGES = 2048;
const MAX_CONTENT_PARTS = 1024;
/** OpenAI's bound. */
const MAX_STOPS = 4;
/** Text that may begin a stop string is held back from the client: a longer one would hide the stream. */
const MAX_STOP_CHARS = 256;
/** OpenAI's default of `max_tokens` for /v1/completions; a chat's is what the context leaves. */
const DEFAULT_COMPLETION_TOKENS = 16;

export type Prompt =
  | { kind: "messages"; messages: readonly ChatMessage[] }
  | { kind: "text"; text: string }
  | { kind: "tokens"; tokens: readonly number[] };

/** A request that was understood. */
export interface Order {
  model: string;
  prompt: Prompt;
  /** undefined: as many as the context leaves. */
  maxTokens: number | undefined;
  stop: readonly string[];
  /** Without `seed` where the client gave none. */
  sampling: Omit<SamplingOptions, "seed"> & { seed: number | undefined };
  stream: boolean;
  includeUsage: boolean;
}

const text = (error: string): z.ZodString => z.string({ error });
const tokenCount = z
  .number({ error: "must be a whole number of at least 1" })
  .int({ error: "must be a whole number of at least 1" })
  .min(1, { error: "must be a whole number of at least 1" });

const stopString = text("must be a string")
  .min(1, { error: "must not be empty" })
  .max(MAX_STOP_CHARS, {
    error: `must have at most ${MAX_STOP_CHARS} characters`,
  })
  .refine((stop) => stop.isWellFormed(), { error: "must be valid Unicode" });

/** What both kinds share. null is the same as absent, as in OpenAI's API. */
const common = {
  model: text("must be the name of a model"),
  max_tokens: tokenCount.nullish(),
  stop: z
    .preprocess(
      (value) => (typeof value === "string" ? [value] : value),
      z
        .array(stopString, { error: "must be a string or a list of strings" })
        .max(MAX_STOPS, { error: `must have at most ${MAX_STOPS} strings` }),
    )
    .nullish(),
  stream: z.boolean({ error: "must be true or false" }).nullish(),
  stream_options: z
    .object(
      {
        include_usage: z.boolean({ error: "must be true or false" }).nullish(),
      },
      { error: "must be an object" },
    )
    .nullish(),
  temperature: samplingFields.temperature.nullish(),
  top_p: samplingFields.topP.nullish(),
  top_k: samplingFields.topK.nullish(),
  min_p: samplingFields.minP.nullish(),
  repeat_penalty: samplingFields.repeatPenalty.nullish(),
  repeat_last_n: samplingFields.repeatLastN.nullish(),
  frequency_penalty: samplingFields.frequencyPenalty.nullish(),
  presence_penalty: samplingFields.presencePenalty.nullish(),
  seed: z.int({ error: "must be a whole number" }).nullish(),
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

const message = z.object(
  {
    role: z.enum(["system", "developer", "user", "assistant"], {
      error: 'must be "system", "developer", "user" or "assistant"',
    }),
    content,
    tool_calls: z
      .array(z.unknown())
      .max(0, { error: "must be empty: the gateway has no tool calls" })
      .nullish(),
  },
  { error: "must be an object" },
);

const chatSchema = z.object({
  ...common,
  max_completion_tokens: tokenCount.nullish(),
  messages: z
    .array(message, { error: "must be a list of messages" })
    .min(1, { error: "must have at least one message" })
    .max(MAX_MESSAGES, { error: `must have at most ${MAX_MESSAGES} messages` }),
});

const ONE_PROMPT =
  "must be one prompt: a string, or a list of token ids of the model";
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
    maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? undefined,
    prompt: { kind: "messages", messages: fields.messages },
  };
}

export function parseCompletion(body: unknown): Order {
  const fields = parse(completionSchema, body);
  const { prompt } = fields;
  return {
    ...orderOf(fields),
    maxTokens: fields.max_tokens ?? DEFAULT_COMPLETION_TOKENS,
    prompt:
      typeof prompt === "string"
        ? { kind: "text", text: prompt }
        : { kind: "tokens", tokens: prompt },
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
): Omit<Order, "prompt" | "maxTokens"> {
  const otherwise = SAMPLING_DEFAULTS;
  return {
    model: fields.model,
    stop: fields.stop ?? [],
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
    sampling: {
      temperature: fields.temperature ?? otherwise.temperature,
      topK: fields.top_k ?? otherwise.topK,
      topP: fields.top_p ?? otherwise.topP,
      minP: fields.min_p ?? otherwise.minP,
      repeatPenalty: fields.repeat_penalty ?? otherwise.repeatPenalty,
      repeatLastN: fields.repeat_last_n ?? otherwise.repeatLastN,
      frequencyPenalty: fields.frequency_penalty ?? otherwise.frequencyPenalty,
      presencePenalty: fields.presence_penalty ?? otherwise.presencePenalty,
      seed: seedOf(fields.seed),
      logitBias: logitBiasOf(fields.logit_bias ?? {}),
    },
  };
}

/** OpenAI's seeds have 64 bits, the engine's 32: the low ones. -1 is "any", as in llama.cpp's server. */
function seedOf(seed: number | null | undefined): number | undefined {
  if (seed === null || seed === undefined || seed === -1) return undefined;
  return Number(BigInt.asUintN(32, BigInt(seed)));
}

/** {"50256": -100} → [[50256, -100]]. That the tokens exist is checked where the model is known. */
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
