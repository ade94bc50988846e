/**
 * How the next token is drawn: plain data that crosses processes and wires unchanged. The options build llama.cpp's own sampler chain. The
 * randomness is keyed by (seed, position), so a lost last stage loses none of it.
 *
 *     const sampling = parseSampling({ temperature: 0 }); // greedy
 */
import { z } from "zod";
import { ShoalError } from "../lib/index.ts";

export interface SamplingOptions {
  /** Divides the logits. 0 is greedy: the most probable token, whatever the seed. */
  temperature: number;
  /** Draw among the k most probable tokens; 0 among all. */
  topK: number;
  /** Draw among the fewest tokens whose probabilities sum to this; 1 is off. */
  topP: number;
  /** Drop tokens less probable than this times the most probable one; 0 is off. */
  minP: number;
  /** Divides the logits of recent tokens; 1 is off. */
  repeatPenalty: number;
  /** How many tokens are "recent" to the three penalties; 0 switches them off. */
  repeatLastN: number;
  /** Subtracted from a logit per recent occurrence of its token; 0 is off. */
  frequencyPenalty: number;
  /** Subtracted once from the logit of a token that occurred recently; 0 is off. */
  presencePenalty: number;
  /** An unsigned 32-bit number. Same seed, same prompt, same model: same text. */
  seed: number;
  /** Added to the logits of single tokens. */
  logitBias: readonly (readonly [token: number, bias: number])[];
}

/** The bias sampler walks the list for each token: with more entries it would cost more than a small stage. */
export const MAX_LOGIT_BIASES = 1024;

/** The longest contexts have so many. llama.cpp allocates a ring of `repeatLastN` tokens (4 MiB) for a session with penalties. */
export const MAX_REPEAT_LAST_N = 2 ** 20;

/** A number within bounds, refused with a phrase that a reader can put a field's name in front of. */
function between(min: number, max: number): z.ZodNumber {
  const error = `must be between ${min} and ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
}

function wholeBetween(min: number, max: number): z.ZodNumber {
  const error = `must be a whole number between ${min} and ${max}`;
  return z
    .number({ error })
    .int({ error })
    .min(min, { error })
    .max(max, { error });
}

/**
 * The bounds of every field, in one place. The gateway builds the API's snake_case parameters from the same fields. Temperature and the
 * penalties have OpenAI's bounds; the others have the range that means something to llama.cpp.
 */
export const samplingFields = Object.freeze({
  temperature: between(0, 2),
  /** No vocabulary is larger. */
  topK: wholeBetween(0, 2 ** 20),
  topP: between(0, 1),
  minP: between(0, 1),
  /** 0 would divide by zero; past 10 only tokens that never occurred are left. */
  repeatPenalty: between(0.01, 10),
  repeatLastN: wholeBetween(0, MAX_REPEAT_LAST_N),
  frequencyPenalty: between(-2, 2),
  presencePenalty: between(-2, 2),
  seed: wholeBetween(0, 2 ** 32 - 1),
  bias: between(-100, 100),
});

/** The defaults of llama.cpp (`common_params_sampling` in common/common.h at v0.5.0), so that both give the same text. */
export const SAMPLING_DEFAULTS: Readonly<Omit<SamplingOptions, "seed">> =
  Object.freeze({
    /** Lively, yet small models still make sentences. */
    temperature: 0.8,
    /** Cuts the long tail of a large vocabulary cheaply, before the sort that top-p needs. */
    topK: 40,
    topP: 0.95,
    /** Scales with the model's certainty, which top-p does not. */
    minP: 0.05,
    /** Off: penalties hurt code, lists and names, so the caller must ask for them. */
    repeatPenalty: 1,
    /** About a paragraph. Costs nothing while the penalties are off. */
    repeatLastN: 64,
    frequencyPenalty: 0,
    presencePenalty: 0,
    logitBias: Object.freeze([]),
  });

export const samplingSchema = z.strictObject({
  temperature: samplingFields.temperature,
  topK: samplingFields.topK,
  topP: samplingFields.topP,
  minP: samplingFields.minP,
  repeatPenalty: samplingFields.repeatPenalty,
  repeatLastN: samplingFields.repeatLastN,
  frequencyPenalty: samplingFields.frequencyPenalty,
  presencePenalty: samplingFields.presencePenalty,
  seed: samplingFields.seed,
  logitBias: z
    .array(z.tuple([wholeBetween(0, 2 ** 31 - 1), samplingFields.bias]))
    .max(MAX_LOGIT_BIASES, {
      error: `must have at most ${MAX_LOGIT_BIASES} tokens`,
    }),
});

/** Completes and validates options: missing ones get the defaults, and seed 0. Throws USAGE naming the field. */
export function parseSampling(
  given: Readonly<Partial<SamplingOptions>>,
): SamplingOptions {
  const result = samplingSchema.safeParse({
    ...SAMPLING_DEFAULTS,
    seed: 0,
    ...given,
  });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new ShoalError(
    "USAGE",
    field === ""
      ? (issue?.message ?? "invalid sampling options")
      : `\`${field}\` ${issue?.message}`,
    { field },
  );
}
