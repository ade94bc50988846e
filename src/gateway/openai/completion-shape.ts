/** The JSON of a continued text, whole and in chunks (https://platform.openai.com/docs/api-reference/completions). */
import type { AnswerHead, AnswerShape, Choice, FinishReason } from "../api.ts";
import type { Prompt } from "../prompt.ts";
import type { CompletionOrder } from "./completion.ts";
import { textLogprobs } from "./logprobs.ts";
import { baseOf, DONE, usageOf } from "./usage.ts";

export function completionShape(
  head: AnswerHead,
  order: CompletionOrder,
): AnswerShape {
  const base = { ...baseOf("cmpl", head), object: "text_completion" };
  const { includeUsage, echo, prompts, wanted, hasLogprobs } = order;
  const { choices: computed = 1 } = order;
  const chunk = (one: object): object => ({
    ...base,
    choices: [one],
    ...(includeUsage ? { usage: null } : {}),
  });
  /** What stands before a reply. */
  const echoed = (prompt: number): string => {
    const its = prompts[prompt];
    return echo && its ? promptText(its, head.tokenizer) : "";
  };
  /** Characters of each choice so far, for the tokens' offsets. */
  const lengths = new Map<number, number>();
  return {
    opening: (index) => {
      const text = echoed(Math.floor(index / computed));
      return text === "" ? [] : [chunk(choiceOf(index, text))];
    },
    part: (index, { deltas, logprobs }) => {
      const text = deltas
        .map((delta) => (delta.kind === "content" ? delta.text : ""))
        .join("");
      const at = lengths.get(index) ?? 0;
      lengths.set(index, at + text.length);
      const told = textLogprobs(logprobs, head.tokenizer, at);
      return [chunk(choiceOf(index, text, null, told))];
    },
    closing: (index, { finish }) => [chunk(choiceOf(index, "", finish))],
    end: (counts) => [
      ...(includeUsage
        ? [{ ...base, choices: [], usage: usageOf(counts) }]
        : []),
      DONE,
    ],
    whole: (replies, counts) => ({
      ...base,
      choices: prompts
        .flatMap((_, prompt) => {
          const its = replies.slice(prompt * computed, (prompt + 1) * computed);
          return best(its, wanted).map((choice) => ({ choice, prompt }));
        })
        .map(({ choice, prompt }, index) => {
          const { content, finish, logprobs } = choice;
          const told = hasLogprobs
            ? textLogprobs(logprobs ?? [], head.tokenizer, 0)
            : null;
          return choiceOf(index, echoed(prompt) + content, finish, told);
        }),
      usage: usageOf(counts),
    }),
  };
}

/** The likeliest of them, in the order in which they were computed if it is all. */
function best(replies: readonly Choice[], wanted: number): readonly Choice[] {
  if (replies.length <= wanted) return replies;
  return replies.toSorted((a, b) => sum(b) - sum(a)).slice(0, wanted);
}

const sum = ({ logprobs = [] }: Choice): number =>
  logprobs.reduce((total, { logprob }) => total + logprob, 0);

function choiceOf(
  index: number,
  text: string,
  finish: FinishReason | null = null,
  logprobs: object | null = null,
): object {
  return { text, index, logprobs, finish_reason: finish };
}

function promptText(
  prompt: Prompt,
  tokenizer: AnswerHead["tokenizer"],
): string {
  if (prompt.kind === "text") return prompt.text;
  if (prompt.kind === "infill") return prompt.prefix;
  if (prompt.kind === "chat") return "";
  const parts = prompt.kind === "tokens" ? prompt.tokens : prompt.parts;
  const bytes = parts.map((part) =>
    typeof part === "string" ? Buffer.from(part) : tokenizer.piece(part, true),
  );
  return Buffer.concat(bytes).toString();
}
