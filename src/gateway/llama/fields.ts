/** Bodies of llama-server's /completion and /infill, and what they mean (`server_task::params_from_json_cmpl`, tools/server/server-task.cpp). */
import { z } from "zod";
import { MAX_LOGIT_BIASES, MAX_LOGPROBS } from "../../engine/index.ts";
import { checkGrammar } from "../../grammar/index.ts";
import { ShoalError } from "../../lib/index.ts";
import type { Order, ParseContext } from "../api.ts";
import type { Hold } from "../../chat/index.ts";
import type { Prompt } from "../prompt.ts";
import { samplerOrder } from "../sampler-order.ts";
import { samplingOf, samplingShape, seedOf } from "../sampling-fields.ts";
import { stopStrings } from "../stop-strings.ts";
import { invalid, validate } from "../validate.ts";
import { promptsOf } from "./prompts.ts";

/** Each is a session of its own. */
const MAX_CHOICES = 16;
/** Beside the file with the gap. */
const MAX_FILES = 256;
/** More bans a token or forces it. */
const MOST_BIAS = 100;

export interface LlamaOrder extends Order {
  /** Whole answers have the ids of their tokens. */
  returnTokens: boolean;
  /** Each part of a stream has its times. */
  timingsPerToken: boolean;
  /** Only the prompt is wanted computed, for the next request. The engine draws a token all the same, and nobody sees it. */
  isWarmUp: boolean;
  /** The answer has only these of its fields. */
  responseFields: readonly string[];
}

const text = z.string({ error: "must be a string" });
const flag = z.boolean({ error: "must be true or false" });
const count = z.int({ error: "must be a whole number" });

const common = {
  ...samplingShape,
  model: z.string({ error: "must be the name of a model" }).nullish(),
  n_predict: count.nullish(),
  max_tokens: count.nullish(),
  max_completion_tokens: count.nullish(),
  n_cmpl: count
    .min(1)
    .max(MAX_CHOICES, { error: `must be at most ${MAX_CHOICES}` })
    .nullish(),
  stream: flag.nullish(),
  stop: stopStrings.nullish(),
  seed: z
    .union([z.bigint(), z.int()], { error: "must be a whole number" })
    .nullish(),
  logit_bias: z.unknown().optional(),
  grammar: text.nullish(),
  json_schema: z.unknown().optional(),
  /** How many of the likeliest tokens are told with each. */
  n_probs: count
    .min(0, { error: "must be at least 0" })
    .max(MAX_LOGPROBS, { error: `must be at most ${MAX_LOGPROBS}` })
    .nullish(),
  post_sampling_probs: flag.nullish(),
  samplers: samplerOrder.nullish(),
  return_tokens: flag.nullish(),
  timings_per_token: flag.nullish(),
  response_fields: z
    .array(text, { error: "must be a list of strings" })
    .nullish(),
  ignore_eos: flag.nullish(),
};

const completionSchema = z.object({
  ...common,
  prompt: z.unknown().optional(),
});

const infillSchema = z.object({
  ...common,
  input_prefix: text,
  input_suffix: text,
  input_extra: z
    .array(
      z.object(
        { filename: text.nullish(), text },
        { error: "must be an object" },
      ),
      { error: "must be a list of files" },
    )
    .max(MAX_FILES, { error: `must have at most ${MAX_FILES} files` })
    .nullish(),
  prompt: text.nullish(),
});

/** Of slots, threads and caches, which this gateway has in another way. */
const IGNORED: ReadonlySet<string> = new Set([
  "cache_prompt",
  "id_slot",
  "n_keep",
  "n_discard",
  "n_indent",
  "n_cache_reuse",
  "min_keep",
  "return_progress",
  "sse_ping_interval",
  "lora",
  "t_max_predict_ms",
  "t_max_prompt_ms",
  "penalize_nl",
]);

export function parseCompletion(
  body: unknown,
  context: ParseContext,
): LlamaOrder {
  const fields = parsed(completionSchema, body, context);
  const hold = holdOf(fields);
  const [first, ...more] = promptsOf(fields.prompt);
  const held = (prompt: Prompt): Prompt =>
    prompt.kind === "chat" ? prompt : { ...prompt, hold };
  return orderOf(fields, [held(first), ...more.map(held)]);
}

export function parseInfill(body: unknown, context: ParseContext): LlamaOrder {
  const fields = parsed(infillSchema, body, context);
  return orderOf(fields, [
    {
      kind: "infill",
      prefix: fields.input_prefix,
      suffix: fields.input_suffix,
      begun: fields.prompt ?? "",
      extra: (fields.input_extra ?? []).map(({ filename, text }) => ({
        name: filename ?? undefined,
        text,
      })),
      hold: holdOf(fields),
    },
  ]);
}

function parsed<T>(
  schema: z.ZodType<T> & { shape: object },
  body: unknown,
  context: ParseContext,
): T {
  if (typeof body === "object" && body !== null) {
    for (const [name, value] of Object.entries(body)) {
      const isKnown = Object.hasOwn(schema.shape, name) || IGNORED.has(name);
      if (isKnown || value === null) continue;
      const param = name.slice(0, 64);
      if (context.strict)
        throw new ShoalError(
          "PARAMETER_UNSUPPORTED",
          `unknown parameter \`${param}\``,
          { param },
        );
      context.onUnknown(param);
    }
  }
  return validate(schema, body);
}

type Common = z.infer<z.ZodObject<typeof common>>;

function orderOf(fields: Common, prompts: LlamaOrder["prompts"]): LlamaOrder {
  const most =
    fields.n_predict ?? fields.max_completion_tokens ?? fields.max_tokens ?? -1;
  return {
    model: fields.model ?? undefined,
    prompts,
    maxTokens: most < 0 ? undefined : Math.max(1, most),
    isWarmUp: most === 0,
    choices: fields.n_cmpl ?? 1,
    stop: fields.stop ?? [],
    ignoresEnd: fields.ignore_eos ?? false,
    sampling: {
      ...samplingOf(fields, {}),
      ...(fields.samplers && { samplers: fields.samplers }),
      logprobsAfterSampling: fields.post_sampling_probs ?? false,
      logprobs: (fields.n_probs ?? 0) > 0 ? (fields.n_probs ?? 0) : -1,
      logitBias: biasesOf(fields.logit_bias),
      seed: seedOf(fields.seed),
    },
    stream: fields.stream ?? false,
    includeUsage: false,
    includeProgress: false,
    returnTokens: fields.return_tokens ?? false,
    timingsPerToken: fields.timings_per_token ?? false,
    responseFields: fields.response_fields ?? [],
  };
}

/** A schema counts where there is no grammar, as in llama-server. */
function holdOf(fields: Common): Hold | undefined {
  const { grammar, json_schema: schema } = fields;
  if (grammar !== undefined && grammar !== null) {
    if (grammar === "") return undefined;
    checkGrammar(grammar);
    return { kind: "gbnf", gbnf: grammar };
  }
  return schema === undefined || schema === null
    ? undefined
    : { kind: "schema", schema };
}

/**
 * [[15043, 1], [15044, false]] or {"15043": 1}: ids of tokens. What llama-server leaves out, this leaves out: entries that are none. `false`
 * bans a token.
 */
function biasesOf(given: unknown): [token: number, bias: number][] {
  if (given === undefined || given === null) return [];
  const entries: unknown[] = Array.isArray(given)
    ? given
    : Object.entries(given);
  if (entries.length > MAX_LOGIT_BIASES)
    throw invalid("logit_bias", `must have at most ${MAX_LOGIT_BIASES} tokens`);
  return entries.flatMap((entry) => {
    if (!Array.isArray(entry) || entry.length !== 2) return [];
    const [token, value] = entry as [unknown, unknown];
    const bias = value === false ? -MOST_BIAS : value;
    const id = typeof token === "string" ? Number(token) : token;
    if (typeof bias !== "number") return [];
    if (!Number.isSafeInteger(id) || (id as number) < 0)
      throw invalid("logit_bias", "must have ids of tokens, not texts");
    return [[id as number, Math.max(-MOST_BIAS, Math.min(MOST_BIAS, bias))]];
  });
}
