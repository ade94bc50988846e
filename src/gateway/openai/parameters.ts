/**
 * Parameters that are known and do nothing, and those that are refused. A parameter that would change the answer is never ignored: a client
 * must not mistake text for JSON, or one answer for three, because the gateway was silent.
 */
import { ShoalError } from "../../lib/index.ts";

/** No influence on the text: the user, and how OpenAI should store, bill and cache it. */
const IGNORED: ReadonlySet<string> = new Set([
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "cache_prompt",
  "parallel_tool_calls",
]);

const isEmptyList = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 0;
const isOneOf =
  (...values: unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const isType =
  (type: string) =>
  (value: unknown): boolean =>
    (value as { type?: unknown } | null)?.type === type;

interface Refused {
  /** A value that changes nothing, such as `n: 1`. null never changes anything. */
  harmless?: (value: unknown) => boolean;
  because?: string;
}

const ALL_ANSWERS = "the gateway gives every answer that it computed";
const NO_TOOLS = "tool calling is not implemented";

/** Parameters of OpenAI's API that this one lacks. */
const REFUSED: Readonly<Record<string, Refused>> = {
  best_of: { harmless: isOneOf(1), because: ALL_ANSWERS },
  tools: { harmless: isEmptyList, because: NO_TOOLS },
  tool_choice: { harmless: isOneOf("none", "auto"), because: NO_TOOLS },
  functions: { harmless: isEmptyList, because: NO_TOOLS },
  function_call: { harmless: isOneOf("none", "auto"), because: NO_TOOLS },
  response_format: {
    harmless: isType("text"),
    because: "structured output is not implemented",
  },
  logprobs: { harmless: isOneOf(false) },
  top_logprobs: { harmless: isOneOf(0) },
  echo: { harmless: isOneOf(false) },
  suffix: { harmless: isOneOf("") },
  modalities: {
    harmless: (value) =>
      Array.isArray(value) && value.length === 1 && value[0] === "text",
    because: "answers are text",
  },
  audio: {},
  prediction: {},
  reasoning_effort: {},
  verbosity: {},
  web_search_options: {},
};

/** Throws PARAMETER_UNSUPPORTED, naming the first parameter that is neither `known`, nor ignored, nor harmless. */
export function refuseUnsupported(
  body: object,
  known: readonly string[],
): void {
  for (const [name, value] of Object.entries(body)) {
    if (known.includes(name) || IGNORED.has(name)) continue;
    if (value === null || value === undefined) continue;
    const rule = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (rule?.harmless?.(value) === true) continue;
    const param = name.slice(0, 64);
    const why = rule?.because === undefined ? "" : `: ${rule.because}`;
    throw new ShoalError(
      "PARAMETER_UNSUPPORTED",
      rule === undefined
        ? `unknown parameter \`${param}\``
        : `\`${param}\` is not supported${why}`,
      { param },
    );
  }
}
