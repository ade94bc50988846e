/**
 * llama-server's answers to /completion and /infill (`to_json_non_oaicompat`, tools/server/server-task.cpp): whole, or one event a token and a
 * last one with all facts.
 */
import type { SessionStatus } from "../../inference/index.ts";
import type {
  AnswerHead,
  AnswerShape,
  Choice,
  Counts,
  Order,
  TokenLogprobs,
} from "../api.ts";
import type { LlamaOrder } from "./fields.ts";
import { probabilitiesOf } from "./probabilities.ts";
import { settingsOf } from "./settings.ts";

/** No request has a slot of its own. */
const NO_SLOT = -1;

export function completionShape(head: AnswerHead, order: Order): AnswerShape {
  const given = order as LlamaOrder;
  const choices = given.choices ?? 1;
  const facts = (index: number, choice: Choice, counts: Counts): object => {
    const { stoppedBy, finish, completionTokens, content } = choice;
    const evaluated = promptTokens(index, counts);
    const session = counts.sessions[index];
    const prompt = given.prompts[Math.floor(index / choices)];
    return {
      id_slot: NO_SLOT,
      stop: true,
      model: head.model,
      tokens_predicted: given.isWarmUp ? 0 : completionTokens,
      tokens_evaluated: evaluated,
      generation_settings: settingsOf(given),
      prompt: prompt?.kind === "text" ? prompt.text : "",
      has_new_line: content.includes("\n"),
      truncated: evaluated + completionTokens >= head.contextLength,
      stop_type:
        stoppedBy !== undefined
          ? "word"
          : finish === "length"
            ? "limit"
            : "eos",
      stopping_word: stoppedBy ?? "",
      tokens_cached: session?.cachedTokens ?? 0,
      ...timingsOf(session, completionTokens, head),
    };
  };
  const { logprobsAfterSampling } = given.sampling;
  const probabilities = (tokens: readonly TokenLogprobs[]): object[] =>
    probabilitiesOf(tokens, head.tokenizer, logprobsAfterSampling);
  const only = fieldsOf(given.responseFields);
  return {
    opening: () => [],
    part: (index, part, countsNow) => {
      const { deltas, tokens, completionTokens, logprobs } = part;
      if (given.isWarmUp) return [];
      const counts = countsNow();
      const content = deltas
        .map((delta) => (delta.kind === "content" ? delta.text : ""))
        .join("");
      return [
        {
          index,
          content,
          tokens,
          stop: false,
          id_slot: NO_SLOT,
          tokens_predicted: completionTokens,
          tokens_evaluated: promptTokens(index, counts),
          ...(logprobs && {
            completion_probabilities: probabilities(logprobs),
          }),
          ...(given.timingsPerToken &&
            timingsOf(counts.sessions[index], completionTokens, head)),
        },
      ];
    },
    closing: (index, choice, counts) => [
      only({
        index,
        content: "",
        tokens: [],
        ...facts(index, choice, counts()),
      }),
    ],
    end: () => [],
    whole: (all, counts) => {
      const answers = all.map((choice, index) =>
        only({
          index,
          content: given.isWarmUp ? "" : choice.content,
          tokens: given.returnTokens && !given.isWarmUp ? choice.tokens : [],
          ...(choice.logprobs && {
            completion_probabilities: probabilities(choice.logprobs),
          }),
          ...facts(index, choice, counts),
        }),
      );
      const [first] = answers;
      return first !== undefined && answers.length === 1 ? first : answers;
    },
  };
}

function promptTokens(index: number, counts: Counts): number {
  return counts.sessions[index]?.promptTokens ?? counts.promptTokens;
}

/** Nothing if the backend does not tell where the time went. */
function timingsOf(
  session: SessionStatus | undefined,
  predicted: number,
  { clock, arrivedMs }: AnswerHead,
): object {
  const { timeToFirstTokenMs: firstMs = null } = session ?? {};
  if (session === undefined || firstMs === null) return {};
  const prompt = (session.promptTokens ?? 0) - session.cachedTokens;
  const promptMs = firstMs - (session.queuedMs ?? 0);
  const predictedMs = Math.max(0, clock.now() - arrivedMs - firstMs);
  return {
    timings: {
      cache_n: session.cachedTokens,
      prompt_n: prompt,
      prompt_ms: promptMs,
      prompt_per_token_ms: ratio(promptMs, prompt),
      prompt_per_second: ratio(1000 * prompt, promptMs),
      predicted_n: predicted,
      predicted_ms: predictedMs,
      predicted_per_token_ms: ratio(predictedMs, predicted),
      predicted_per_second: ratio(1000 * predicted, predictedMs),
    },
  };
}

const ratio = (a: number, b: number): number => (b > 0 ? a / b : 0);

/** `response_fields`: only these, a nested one ("timings/prompt_n") under its path. */
function fieldsOf(names: readonly string[]): (answer: object) => object {
  if (names.length === 0) return (answer) => answer;
  return (answer) =>
    Object.fromEntries(
      names.flatMap((name) => {
        let value: unknown = answer;
        for (const key of name.split("/"))
          value =
            typeof value === "object" &&
            value !== null &&
            Object.hasOwn(value, key)
              ? (value as Record<string, unknown>)[key]
              : undefined;
        return value === undefined ? [] : [[name, value]];
      }),
    );
}
