/** `logit_bias` in each form that clients send: {"50256": -100}, {" word": 1}, [[50256, -100]], [[" word", false]]. */
import { z } from "zod";
import { MAX_LOGIT_BIASES, samplingFields } from "../../engine/index.ts";

/** A token has fewer; a longer text's tokens are better named one by one. */
const MAX_TEXT_CHARS = 256;
/** `false` is "never". No logit is so large that this leaves it a chance. */
const NEVER = -100;

export interface LogitBias {
  ids: [token: number, bias: number][];
  /** For each token of the text. */
  texts: [text: string, bias: number][];
}

const FORM = "must be an object or a list of tokens and biases";
const MOST = `must have at most ${MAX_LOGIT_BIASES} tokens`;

const bias = z.union([
  z.literal(false).transform(() => NEVER),
  samplingFields.bias,
]);
const token = z.union(
  [
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1),
    z.string().min(1).max(MAX_TEXT_CHARS),
  ],
  { error: `must be a token id, or a text of at most ${MAX_TEXT_CHARS}` },
);

/** Whether the tokens exist is checked once the model is known. */
export const logitBias = z
  .preprocess(
    (value) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.entries(value).map(([key, its]) => [idOr(key), its as unknown])
        : value,
    z
      .array(z.tuple([token, bias], { error: FORM }), { error: FORM })
      .max(MAX_LOGIT_BIASES, { error: MOST }),
  )
  .transform((entries) => {
    const found: LogitBias = { ids: [], texts: [] };
    for (const [what, amount] of entries)
      if (typeof what === "number") found.ids.push([what, amount]);
      else found.texts.push([what, amount]);
    return found;
  });

const idOr = (key: string): string | number =>
  /^\d{1,9}$/.test(key) ? Number(key) : key;
