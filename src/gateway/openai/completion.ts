/** POST /v1/completions: a body and its meaning. */
import { z } from "zod";
import { MAX_LOGPROBS } from "../../engine/index.ts";
import type { Order, ParseContext } from "../api.ts";
import type { Prompt } from "../prompt.ts";
import { invalid } from "../validate.ts";
import { unsupported } from "./accepted.ts";
import {
  commonOrder,
  commonShape,
  flag,
  limitOf,
  MAX_CHOICES,
  parseBody,
  text,
  topCount,
  wholeNumber,
} from "./common-fields.ts";
import { holdOf, holdShape } from "./hold.ts";

/** OpenAI's default of `max_tokens`; a chat's is what the context leaves. */
const DEFAULT_TOKENS = 16;
/** Each has a generation of its own. */
const MAX_PROMPTS = 64;
/** Of all prompts together. */
const MAX_REPLIES = 128;

const PROMPT =
  "must be a string, a list of token ids and strings, or a list of such prompts";
const one = z.union(
  [
    z.string(),
    z.array(z.union([z.int().min(0), z.string()])).min(1, { error: PROMPT }),
  ],
  { error: PROMPT },
);

const LOGPROBS = `must be a whole number between 0 and ${MAX_LOGPROBS}`;

const completionSchema = z.object({
  ...commonShape,
  ...holdShape,
  best_of: wholeNumber(1, MAX_CHOICES).nullish(),
  echo: flag.nullish(),
  /** How many; false is none, true as many as the drawn one. */
  logprobs: z.union([topCount, z.boolean()], { error: LOGPROBS }).nullish(),
  n_probs: topCount.nullish(),
  suffix: text("must be a string").nullish(),
  prompt: z.preprocess(
    asPrompts,
    z
      .array(one, { error: PROMPT })
      .min(1, { error: PROMPT })
      .max(MAX_PROMPTS, { error: `must have at most ${MAX_PROMPTS} prompts` }),
  ),
});

/** A list with a number in it is one prompt; any other list is one of prompts. */
function asPrompts(given: unknown): unknown {
  if (!Array.isArray(given)) return given === undefined ? given : [given];
  return given.some((item) => typeof item === "number") ? [given] : given;
}

export interface CompletionOrder extends Order {
  echo: boolean;
  /** Replies to each prompt that the client gets: the best of `choices`. */
  wanted: number;
  hasLogprobs: boolean;
}

export function parseCompletion(
  body: unknown,
  context: ParseContext,
): CompletionOrder {
  const fields = parseBody(completionSchema, body, context);
  const logprobs = logprobsOf(fields);
  const wanted = fields.n ?? 1;
  const choices = fields.best_of ?? wanted;
  if (choices < wanted) throw invalid("best_of", "must be at least `n`");
  if (choices > wanted && fields.stream)
    throw invalid("best_of", "cannot be streamed");
  if (fields.echo && logprobs !== undefined)
    throw unsupported("echo", "the prompt's `logprobs` are not computed");
  // The best are found by their tokens' probabilities.
  const told = choices > wanted ? (logprobs ?? 0) : logprobs;
  const order = commonOrder(fields, told);
  const hold = holdOf(fields);
  const [first, ...more] = fields.prompt.map((prompt) =>
    promptOf(prompt, hold, fields.suffix ?? ""),
  );
  if (first === undefined) throw invalid("prompt", PROMPT);
  if (fields.prompt.length * choices > MAX_REPLIES)
    throw invalid(
      "prompt",
      `and \`n\` ask for more than ${MAX_REPLIES} replies`,
    );
  return {
    ...order,
    choices,
    wanted,
    hasLogprobs: logprobs !== undefined,
    echo: fields.echo ?? false,
    maxTokens: limitOf(fields.max_tokens ?? fields.n_predict ?? DEFAULT_TOKENS),
    prompts: [first, ...more],
  };
}

function promptOf(
  prompt: z.infer<typeof one>,
  hold: ReturnType<typeof holdOf>,
  suffix: string,
): Prompt {
  if (suffix !== "") {
    if (typeof prompt === "string")
      return { kind: "infill", prefix: prompt, suffix, hold };
    throw invalid("suffix", "needs a prompt that is text");
  }
  if (typeof prompt === "string") return { kind: "text", text: prompt, hold };
  const tokens = prompt.filter((part) => typeof part === "number");
  return tokens.length === prompt.length
    ? { kind: "tokens", tokens, hold }
    : { kind: "mixed", parts: prompt, hold };
}

function logprobsOf({
  logprobs,
  n_probs: count,
}: z.infer<typeof completionSchema>): number | undefined {
  if (typeof logprobs === "number") return logprobs;
  return logprobs === true ? (count ?? 0) : count || undefined;
}
