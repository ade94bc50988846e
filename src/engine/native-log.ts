/** llama.cpp tells why it refuses a file in its log alone: the one line of it that is the reason. */

/** A line may quote a string of the file, which comes from strangers. */
const MAX_REASON_CHARS = 300;
/** In `ggml_log_level` (ggml/include/ggml.h at v0.5.0). */
export const LOG_WARNING = 3;
export const LOG_ERROR = 4;

/** What llama.cpp aborts with: `…/llama.cpp/src/llama-vocab.cpp:2539: GGML_ASSERT(…) failed`. A backtrace may follow it. */
const ABORT = /^(?:\S*\/)?(\S+\.(?:c|cpp|cu|h|hpp):\d+: .+)$/;
/** The innermost function names the reason; those around it add only that loading failed. */
const REASON = /^llama_model_load: error loading model: (.+)$/;

/** Undefined where nothing was logged. */
export function nativeReason(lines: readonly string[]): string | undefined {
  const found =
    firstMatch(lines, ABORT) ?? firstMatch(lines, REASON) ?? lines.at(-1);
  return found?.trim().slice(0, MAX_REASON_CHARS);
}

function firstMatch(
  lines: readonly string[],
  pattern: RegExp,
): string | undefined {
  for (const line of lines) {
    const match = pattern.exec(line.trimEnd());
    if (match !== null) return match[1];
  }
  return undefined;
}
