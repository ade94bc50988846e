/** How tokens are drawn, by llama-server's names (`task_params::to_json`, tools/server/server-task.cpp). */
import { SAMPLING_DEFAULTS } from "../../engine/index.ts";
import type { ReplyRequest } from "../replies.ts";
import { samplingNames } from "../sampling-fields.ts";

/** A seed that is drawn for each request. */
const ANY_SEED = 4_294_967_295;

export type Drawn = Pick<
  ReplyRequest,
  "sampling" | "maxTokens" | "stop" | "ignoresEnd"
> & { stream?: boolean };

export const DEFAULTS: Drawn = {
  sampling: { ...SAMPLING_DEFAULTS, seed: undefined },
  maxTokens: undefined,
  stop: [],
};

export function settingsOf({
  sampling,
  maxTokens = -1,
  stop,
  ignoresEnd = false,
  stream = false,
}: Drawn): object {
  const named = samplingNames(sampling);
  return {
    seed: sampling.seed ?? ANY_SEED,
    ...named,
    ...(sampling.repeatLastN === Infinity && { repeat_last_n: -1 }),
    n_probs: Math.max(0, sampling.logprobs),
    stop,
    max_tokens: maxTokens,
    n_predict: maxTokens,
    ignore_eos: ignoresEnd,
    post_sampling_probs: sampling.logprobsAfterSampling,
    samplers: sampling.samplers,
    stream,
    logit_bias: sampling.logitBias.map(([token, bias]) => ({ bias, token })),
  };
}
