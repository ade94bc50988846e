/**
 * Parameters that are known and do nothing, and those that are refused: what would change the answer into something that it is not. A client
 * must not mistake text for speech, or the model's words for a search, because the gateway was silent.
 */
import { ShoalError } from "../../lib/index.ts";

/** No influence on the text: who asks, how OpenAI stores and bills it, hints, and what llama.cpp's server keeps for itself. */
export const IGNORED: readonly string[] = [
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prediction",
  "verbosity",
  "modalities",
  "audio",
  "web_search_options",
  "cache_prompt",
  "id_slot",
  "n_keep",
  "return_progress",
  "timings_per_token",
  "lora",
  "keep_alive",
];

const isEmpty = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 0;

interface Refused {
  /** A value that changes nothing. null and absent never change anything. */
  harmless: (value: unknown) => boolean;
  because: string;
}

const REFUSED: Readonly<Record<string, Refused>> = {
  modalities: {
    harmless: (value) =>
      Array.isArray(value) && value.every((one) => one === "text"),
    because: "answers are text",
  },
  audio: { harmless: () => false, because: "answers are text" },
  web_search_options: {
    harmless: () => false,
    because: "the gateway searches nothing",
  },
  lora: { harmless: isEmpty, because: "the model is served as it is" },
};

/** Throws PARAMETER_UNSUPPORTED, naming the first such parameter. */
export function refuseUnsupported(body: object): void {
  for (const [name, value] of Object.entries(body)) {
    if (value === null || value === undefined) continue;
    const rule = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (rule === undefined || rule.harmless(value)) continue;
    throw unsupported(name, rule.because);
  }
}

export function unsupported(param: string, because: string): ShoalError {
  return new ShoalError(
    "PARAMETER_UNSUPPORTED",
    `\`${param}\` is not supported: ${because}`,
    { param },
  );
}
