/**
 * The forms of a prompt in llama-server's API (tools/server/README.md, POST /completion): a text, tokens, both mixed, an object with a text, or
 * a list of these.
 */
import type { Prompt } from "../prompt.ts";
import { invalid } from "../validate.ts";

/** Each is a session of its own. */
const MAX_PROMPTS = 16;

type Prompts = readonly [Prompt, ...Prompt[]];

/** At most `most`. `field`: how the request calls it. Throws REQUEST_INVALID. */
export function promptsOf(
  value: unknown,
  field = "prompt",
  most = MAX_PROMPTS,
): Prompts {
  const onePrompt = (one: unknown): Prompt => promptOf(one, field);
  if (!Array.isArray(value)) return [onePrompt(value)];
  const given = value as readonly unknown[];
  const isFlat = given.every(isPiece);
  const isSeveral = isFlat
    ? given.every((piece) => typeof piece === "string")
    : true;
  if (!isSeveral) return [onePrompt(given)];
  if (given.length > most)
    throw invalid(field, `must have at most ${most} prompts`);
  const [first, ...more] = given.map(onePrompt);
  return first === undefined ? [onePrompt(given)] : [first, ...more];
}

function promptOf(value: unknown, field: string): Prompt {
  if (typeof value === "string") return { kind: "text", text: value };
  if (Array.isArray(value)) return pieces(value, field);
  if (typeof value === "object" && value !== null) {
    const { prompt_string: text, multimodal_data: data = [] } = value as Record<
      string,
      unknown
    >;
    if (typeof text === "string" && Array.isArray(data) && data.length === 0)
      return { kind: "text", text };
    if (typeof text === "string")
      throw invalid(
        `${field}.multimodal_data`,
        "must be empty: the model served here reads text only",
      );
  }
  throw invalid(
    field,
    "must be a string, a list of tokens and strings, or a list of prompts",
  );
}

function pieces(given: readonly unknown[], field: string): Prompt {
  if (!given.every(isPiece) || given.length === 0)
    throw invalid(field, "must have only tokens and strings, and not none");
  const tokens = given.filter((part) => typeof part === "number");
  return tokens.length === given.length
    ? { kind: "tokens", tokens }
    : { kind: "mixed", parts: given };
}

function isPiece(value: unknown): value is string | number {
  return (
    typeof value === "string" ||
    (typeof value === "number" && Number.isInteger(value) && value >= 0)
  );
}
