/**
 * How the next token is drawn: plain data that crosses processes and wires unchanged. The options build llama.cpp's own sampler chain. The
 * randomness is keyed by (seed, position), so a lost last stage loses none of it.
 *
 *     const sampling = parseSampling({ temperature: 0 }); // greedy
 */
import { z } from "zod";
import { MAX_GRAMMAR_CHARS } from "../grammar/index.ts";
import { ShoalError } from "../lib/index.ts";
import { MAX_LIKELIEST } from "../ring/index.ts";

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
  /** Draw among the tokens whose surprise is nearest to the expected one, until their probabilities sum to this; 1 is off. */
  typicalP: number;
  /** Draw among tokens whose logits are within so many standard deviations of the largest; 0 and less is off. */
  topNSigma: number;
  /** How strongly a token is made less likely that would make a repetition longer (DRY); 0 is off. */
  dryMultiplier: number;
  /** The penalty grows by this with each token of the repetition. */
  dryBase: number;
  /** Repetitions up to this length cost nothing. */
  dryAllowedLength: number;
  /** Tokens, the prompt's included, in which repetitions are looked for; -1: all, 0: off. */
  dryPenaltyLastN: number;
  /** Texts that no repetition goes across. */
  drySequenceBreakers: readonly string[];
  /** How often the likeliest tokens are left out (XTC); 0 is off. */
  xtcProbability: number;
  /** All tokens at least so likely are left out but the last of them; above 0.5 is off. */
  xtcThreshold: number;
  /** The temperature is up to so much lower or higher, by how certain the model is; 0 is off. */
  dynatempRange: number;
  dynatempExponent: number;
  /** 1 or 2: that version of Mirostat draws, with bias and temperature only; 0 is off. */
  mirostat: number;
  /** The surprise per token that Mirostat aims at, bits. */
  mirostatTau: number;
  /** How fast it gets there. */
  mirostatEta: number;
  /** How many of the likeliest tokens are told with each, by the model's own probabilities; 0: only the drawn one's, -1: none. */
  logprobs: number;
  /** They are told after all samplers: of the tokens that were left, what each was drawn with. */
  logprobsAfterSampling: boolean;
  /** In which order tokens are left out and made less likely; those that are not named are off. */
  samplers: readonly SamplerName[];
  /** What may be written at all. */
  grammar?: Grammar | undefined;
  /** How much may be thought. */
  thoughts?: ThoughtLimit | undefined;
}

export interface ThoughtLimit {
  /** Tokens. */
  most: number;
  /** What begins it, at the reply's beginning. Without: the prompt did. */
  open?: string | undefined;
  close: string;
  /** The tokens of `close`, which come after `most` tokens without it. */
  end: readonly number[];
}

/** By llama.cpp's names, in its order (`common_params_sampling.samplers` in common/common.h at v0.5.0). */
export const SAMPLERS = [
  "penalties",
  "dry",
  "top_n_sigma",
  "top_k",
  "typ_p",
  "top_p",
  "min_p",
  "xtc",
  "temperature",
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

export interface Grammar {
  /** llama.cpp's form; its rule `root` is the text. */
  gbnf: string;
  /** Begins only after one of these was written; without any, at once. */
  triggers?: readonly GrammarTrigger[] | undefined;
}

export type GrammarTrigger =
  | { kind: "word"; text: string }
  /** From its first group that is not empty, or as a whole. Without lookarounds and back references. */
  | { kind: "pattern"; regex: string }
  | { kind: "token"; token: number };

/** The bias sampler walks the list for each token: with more entries it would cost more than a small stage. */
export const MAX_LOGIT_BIASES = 1024;

/** The longest contexts have so many. llama.cpp allocates a ring of `repeatLastN` tokens (4 MiB) for a session with penalties. */
export const MAX_REPEAT_LAST_N = 2 ** 20;

/** DRY looks through the vocabulary for each: some ms with a large one. */
export const MAX_SEQUENCE_BREAKERS = 16;
/** llama.cpp cuts longer ones. */
const MAX_BREAKER_LENGTH = 40;

/** OpenAI's APIs allow 20, llama-server any number. */
export const MAX_LOGPROBS = MAX_LIKELIEST;

export { MAX_GRAMMAR_CHARS as MAX_GRAMMAR_LENGTH };
/** A chat format has one or two. */
export const MAX_GRAMMAR_TRIGGERS = 64;
/** A pattern is looked for after each token. */
export const MAX_TRIGGER_LENGTH = 1024;

/** Models' own marks have some ten characters. */
export const MAX_MARK_LENGTH = 128;
/** No context is longer. */
const MAX_THOUGHT_TOKENS = 2 ** 24;

/** A sampler may come again; each costs time with every token. */
export const MAX_SAMPLERS = 16;

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

const tokenId = wholeBetween(0, 2 ** 31 - 1);
const markText = z.string().min(1).max(MAX_MARK_LENGTH);
const triggerText = z
  .string()
  .min(1, { error: "must not be empty" })
  .max(MAX_TRIGGER_LENGTH, {
    error: `must have at most ${MAX_TRIGGER_LENGTH} characters`,
  });

/**
 * The bounds of every field, in one place. The gateway builds the API's snake_case parameters from the same fields. The penalties have
 * OpenAI's bounds; the others have the range that means something to llama.cpp.
 */
export const samplingFields = Object.freeze({
  /** Hotter than this all tokens are alike. */
  temperature: between(0, 100),
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
  typicalP: between(0, 1),
  topNSigma: between(-1, 100),
  dryMultiplier: between(0, 100),
  dryBase: between(0, 10),
  dryAllowedLength: wholeBetween(0, MAX_REPEAT_LAST_N),
  dryPenaltyLastN: wholeBetween(-1, MAX_REPEAT_LAST_N),
  drySequenceBreakers: z
    .array(
      z
        .string()
        .min(1, { error: "must not have an empty text" })
        .max(MAX_BREAKER_LENGTH, {
          error: `must have texts of at most ${MAX_BREAKER_LENGTH} characters`,
        }),
    )
    .max(MAX_SEQUENCE_BREAKERS, {
      error: `must have at most ${MAX_SEQUENCE_BREAKERS} texts`,
    }),
  xtcProbability: between(0, 1),
  xtcThreshold: between(0, 1),
  dynatempRange: between(0, 2),
  dynatempExponent: between(0, 10),
  mirostat: wholeBetween(0, 2),
  mirostatTau: between(0, 100),
  mirostatEta: between(0, 1),
  logprobs: wholeBetween(-1, MAX_LOGPROBS),
  logprobsAfterSampling: z.boolean({ error: "must be true or false" }),
  samplers: z
    .array(z.enum(SAMPLERS), { error: "must be a list of samplers" })
    .max(MAX_SAMPLERS, {
      error: `must have at most ${MAX_SAMPLERS} samplers`,
    }),
  grammar: z.strictObject({
    gbnf: z
      .string()
      .min(1, { error: "must not be empty" })
      .max(MAX_GRAMMAR_CHARS, {
        error: `must have at most ${MAX_GRAMMAR_CHARS} characters`,
      }),
    triggers: z
      .array(
        z.discriminatedUnion("kind", [
          z.strictObject({ kind: z.literal("word"), text: triggerText }),
          z.strictObject({ kind: z.literal("pattern"), regex: triggerText }),
          z.strictObject({ kind: z.literal("token"), token: tokenId }),
        ]),
      )
      .max(MAX_GRAMMAR_TRIGGERS, {
        error: `must have at most ${MAX_GRAMMAR_TRIGGERS} entries`,
      })
      .optional(),
  }),
  thoughts: z.strictObject({
    most: wholeBetween(0, MAX_THOUGHT_TOKENS),
    open: markText.optional(),
    close: markText,
    end: z.array(tokenId).min(1).max(MAX_MARK_LENGTH),
  }),
});

/** What peers before grammars do not know: left out of messages where it has its default. */
const ADDED_DEFAULTS = Object.freeze({
  typicalP: 1,
  topNSigma: -1,
  dryMultiplier: 0,
  dryBase: 1.75,
  dryAllowedLength: 2,
  dryPenaltyLastN: -1,
  drySequenceBreakers: Object.freeze(["\n", ":", '"', "*"]),
  xtcProbability: 0,
  xtcThreshold: 0.1,
  dynatempRange: 0,
  dynatempExponent: 1,
  mirostat: 0,
  mirostatTau: 5,
  mirostatEta: 0.1,
  logprobs: -1,
  logprobsAfterSampling: false,
  samplers: Object.freeze([...SAMPLERS]),
});

/** The defaults of llama.cpp (`common_params_sampling` in common/common.h at v0.5.0), so that both give the same text. */
export const SAMPLING_DEFAULTS: Readonly<
  Omit<SamplingOptions, "seed" | "grammar" | "thoughts">
> = Object.freeze({
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
  ...ADDED_DEFAULTS,
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
    .array(z.tuple([tokenId, samplingFields.bias]))
    .max(MAX_LOGIT_BIASES, {
      error: `must have at most ${MAX_LOGIT_BIASES} tokens`,
    }),
  ...addedFields(),
});

/** Messages of peers that do not know them lack them. */
function addedFields() {
  const {
    typicalP,
    topNSigma,
    dryMultiplier,
    dryBase,
    dryAllowedLength,
    dryPenaltyLastN,
    drySequenceBreakers,
    xtcProbability,
    xtcThreshold,
    dynatempRange,
    dynatempExponent,
    mirostat,
    mirostatTau,
    mirostatEta,
    logprobs,
    logprobsAfterSampling,
    samplers,
    grammar,
    thoughts,
  } = samplingFields;
  const added = ADDED_DEFAULTS;
  return {
    typicalP: typicalP.default(added.typicalP),
    topNSigma: topNSigma.default(added.topNSigma),
    dryMultiplier: dryMultiplier.default(added.dryMultiplier),
    dryBase: dryBase.default(added.dryBase),
    dryAllowedLength: dryAllowedLength.default(added.dryAllowedLength),
    dryPenaltyLastN: dryPenaltyLastN.default(added.dryPenaltyLastN),
    drySequenceBreakers: drySequenceBreakers.default(() => [
      ...added.drySequenceBreakers,
    ]),
    xtcProbability: xtcProbability.default(added.xtcProbability),
    xtcThreshold: xtcThreshold.default(added.xtcThreshold),
    dynatempRange: dynatempRange.default(added.dynatempRange),
    dynatempExponent: dynatempExponent.default(added.dynatempExponent),
    mirostat: mirostat.default(added.mirostat),
    mirostatTau: mirostatTau.default(added.mirostatTau),
    mirostatEta: mirostatEta.default(added.mirostatEta),
    logprobs: logprobs.default(added.logprobs),
    logprobsAfterSampling: logprobsAfterSampling.default(
      added.logprobsAfterSampling,
    ),
    samplers: samplers.default(() => [...added.samplers]),
    grammar: grammar.optional(),
    thoughts: thoughts.optional(),
  };
}

/**
 * What a stage has to be told: the last one all that is not as ever, so that older ones understand what they can do; the others nothing that
 * they need not know.
 */
export function samplingFor(
  sampling: SamplingOptions,
  isLast: boolean,
): Partial<SamplingOptions> {
  const added: Readonly<Record<string, unknown>> = ADDED_DEFAULTS;
  return Object.fromEntries(
    Object.entries(sampling).filter(([field, value]) => {
      if (field === "grammar" || field === "thoughts")
        return isLast && value !== undefined;
      if (!(field in added)) return true;
      return isLast && JSON.stringify(value) !== JSON.stringify(added[field]);
    }),
  );
}

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
