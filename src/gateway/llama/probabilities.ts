/** Tokens' probabilities, or their logarithms, in llama-server's form (`probs_vector_to_json`, tools/server/server-task.cpp). */
import type { AnswerHead, TokenLogprobs } from "../api.ts";

export function probabilitiesOf(
  tokens: readonly TokenLogprobs[],
  tokenizer: AnswerHead["tokenizer"],
  isAfterSampling: boolean,
): object[] {
  const told = ({
    token: id,
    logprob,
  }: Pick<TokenLogprobs, "token" | "logprob">): object => {
    const bytes = tokenizer.piece(id, true);
    const token = Buffer.from(bytes).toString();
    return {
      id,
      token,
      bytes: [...bytes],
      ...(isAfterSampling ? { prob: Math.exp(logprob) } : { logprob }),
    };
  };
  return tokens.map((one) => ({
    ...told(one),
    [isAfterSampling ? "top_probs" : "top_logprobs"]: one.top.map(told),
  }));
}
