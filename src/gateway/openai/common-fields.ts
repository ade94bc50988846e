/** What both kinds of requests for text have in common. null is the same as absent, as in OpenAI's API. */
import { z } from "zod";
import { MAX_LOGPROBS, type SamplingOptions } from "../../engine/index.ts";
import type { Order, ParseContext } from "../api.ts";
import { samplerOrder } from "../sampler-order.ts";
import { samplingOf, samplingShape, seedOf } from "../sampling-fields.ts";
import { stopStrings } from "../stop-strings.ts";
import { tellUnknown } from "../unknown-fields.ts";
import { validate } from "../validate.ts";
import { IGNORED, refuseUnsupported } from "./accepted.ts";
import { logitBias } from "./logit-bias.ts";

/** Each is a session of its own. */
export const MAX_CHOICES = 16;

export const text = (error: string): z.ZodString => z.string({ error });
export const flag = z.boolean({ error: "must be true or false" });
export const anObject = "must be an object";

/** 0 computes the prompt alone. */
export const tokenCount = z.int({
  error: "must be a whole number, or -1 for no limit",
});

export function wholeNumber(min: number, max: number): z.ZodInt {
  const error = `must be a whole number between ${min} and ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A bigint if JSON has more digits than a double. */
const seed = z.custom<number | bigint>(
  (value) =>
    Number.isSafeInteger(value) ||
    (typeof value === "bigint" && value >= -(2n ** 63n) && value < 2n ** 64n),
  { error: "must be an integer of at most 64 bits" },
);

export const commonShape = {
  ...samplingShape,
  model: text("must be the name of a model").nullish(),
  max_tokens: tokenCount.nullish(),
  /** As llama.cpp's server has it. */
  n_predict: tokenCount.nullish(),
  n: wholeNumber(1, MAX_CHOICES).nullish(),
  stop: stopStrings.nullish(),
  stream: flag.nullish(),
  stream_options: z
    .object(
      { include_usage: flag.nullish(), include_progress: flag.nullish() },
      { error: anObject },
    )
    .nullish(),
  seed: seed.nullish(),
  logit_bias: logitBias.nullish(),
  /** As llama.cpp's server has them. */
  samplers: samplerOrder.nullish(),
  ignore_eos: flag.nullish(),
};

/** The likeliest tokens that are told with each. */
export const topCount = wholeNumber(0, MAX_LOGPROBS);

const commonSchema = z.object(commonShape);

/** Names that others have for the same. */
const ALIASES: Readonly<Record<string, string>> = {
  repetition_penalty: "repeat_penalty",
  typ_p: "typical_p",
};

/** A body by its schema. Throws REQUEST_INVALID and PARAMETER_UNSUPPORTED. */
export function parseBody<T>(
  schema: z.ZodType<T> & { shape: object },
  body: unknown,
  context: ParseContext,
): T {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    return validate(schema, body);
  const fields = withoutAliases(body as Record<string, unknown>);
  refuseUnsupported(fields);
  const known = [...Object.keys(schema.shape), ...IGNORED];
  tellUnknown(fields, known, context);
  return validate(schema, fields);
}

function withoutAliases(body: Record<string, unknown>): object {
  const fields: Record<string, unknown> = Object.assign(
    Object.create(null) as object,
    body,
  );
  for (const [alias, name] of Object.entries(ALIASES)) {
    if (!(alias in fields)) continue;
    fields[name] ??= fields[alias];
    delete fields[alias];
  }
  return fields;
}

/** `logprobs`: how many tokens are told with each; undefined: none, not even itself. */
export function commonOrder(
  fields: z.infer<typeof commonSchema>,
  logprobs: number | undefined,
): Omit<Order, "prompts" | "maxTokens"> {
  const { ids = [], texts = [] } = fields.logit_bias ?? {};
  return {
    model: fields.model ?? undefined,
    choices: fields.n ?? 1,
    stop: fields.stop ?? [],
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
    includeProgress: fields.stream_options?.include_progress ?? false,
    biasedTexts: texts,
    ignoresEnd: fields.ignore_eos ?? false,
    sampling: {
      ...samplingOf(fields, { logitBias: ids, logprobs: logprobs ?? -1 }),
      ...(fields.samplers && { samplers: fields.samplers }),
      seed: seedOf(fields.seed),
    } satisfies Omit<SamplingOptions, "seed"> & { seed: number | undefined },
  };
}

/** undefined if there is none: any negative number, as in llama.cpp's server. */
export const limitOf = (count: number): number | undefined =>
  count < 0 ? undefined : count;
