/** Errors as Ollama's clients read them: `{"error": "<sentence>"}`. An object there is shown as "[object Object]". */
import type { ShoalError } from "../../lib/index.ts";
import { type HttpError, httpErrorOf, messageOf } from "../http-error.ts";

export function ollamaErrors(
  error: ShoalError,
  requestId: string,
): HttpError<{ error: string }> {
  return httpErrorOf(error, { error: messageOf(error, requestId) });
}
