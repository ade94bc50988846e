/** What the model itself thinks of tokens: the logarithm of the softmax of its logits, before any sampler; or what they were drawn with, after all. */
export interface LogProbabilities {
  /** Of the token that was drawn. */
  logprob: number;
  /** The likeliest tokens, in that order. */
  top: readonly { token: number; logprob: number }[];
}

/** Of what the model holds impossible: OpenAI's value for it, and a number in JSON. */
const IMPOSSIBLE = -9999;

/** Of the drawn token and the `count` likeliest ones. */
export function logProbabilities(
  logits: Float32Array,
  token: number,
  count: number,
): LogProbabilities {
  let max = -Infinity;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const shift = max + Math.log(sum);
  const of = (one: number): number =>
    Math.max(IMPOSSIBLE, (logits[one] ?? -Infinity) - shift);
  return {
    logprob: of(token),
    top: likeliest(logits, count).map((one) => ({
      token: one,
      logprob: of(one),
    })),
  };
}

/** After all samplers, of a token that was drawn with the probability `p`: it and the `count` likeliest of those that were `left`. */
export function drawnProbabilities(
  p: number,
  left: { tokens: Int32Array; p: Float32Array },
  count: number,
): LogProbabilities {
  return {
    logprob: logOf(p),
    top: likeliest(left.p, count)
      .filter((at) => (left.p[at] ?? 0) > 0)
      .map((at) => ({
        token: left.tokens[at] ?? 0,
        logprob: logOf(left.p[at] ?? 0),
      })),
  };
}

const logOf = (p: number): number => Math.max(IMPOSSIBLE, Math.log(p));

/** Of equals the first comes first. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  let least = -Infinity;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] ?? -Infinity;
    if (best.length === count && !(logit > least)) continue;
    let at = best.length;
    while (at > 0 && logit > (logits[best[at - 1] ?? 0] ?? 0)) at--;
    best.splice(at, 0, token);
    if (best.length > count) best.pop();
    if (best.length === count) least = logits[best[count - 1] ?? 0] ?? 0;
  }
  return best;
}
