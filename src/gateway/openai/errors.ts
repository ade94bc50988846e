/**
 * Errors in the form of OpenAI's API: `{"error": {message, type, param, code}}`, so that its clients throw their own classes. `code` is
 * Shoal's code in lower case, unless OpenAI has its own word for it.
 */
import {
  ShoalError,
  type ErrorCode,
  type ErrorDetails,
} from "../../lib/index.ts";
import { type HttpError, httpErrorOf, messageOf } from "../http-error.ts";

export interface ErrorBody {
  error: {
    message: string;
    type: string;
    /** The wrong field of the request. */
    param: string | null;
    code: string;
    /** Numbers a program can use, for the codes of `TELLING`. */
    details?: ErrorDetails;
    /** Of `context_length_exceeded`, by llama.cpp's names. */
    n_prompt_tokens?: unknown;
    n_ctx?: unknown;
  };
}

/** OpenAI's own codes (https://platform.openai.com/docs/guides/error-codes). */
const OPENAI_CODES: Partial<Record<ErrorCode, string>> = {
  MODEL_UNKNOWN: "model_not_found",
  CONTEXT_EXCEEDED: "context_length_exceeded",
  UNAUTHENTICATED: "invalid_api_key",
  RATE_LIMITED: "rate_limit_exceeded",
  PARAMETER_UNSUPPORTED: "unsupported_parameter",
};

/** What a client of this API was told, as the error that it was here. */
export function errorOfAnswer(
  code: string | null,
  message: string,
): ShoalError {
  const [own] = Object.entries(OPENAI_CODES).find(
    ([, its]) => its === code,
  ) ?? [code ?? "INTERNAL"];
  return ShoalError.fromObject({ code: own.toUpperCase(), message });
}

/** Errors whose details are for the client; details of others (paths, peers) stay here. */
const TELLING: ReadonlySet<ErrorCode> = new Set([
  "SWARM_NOT_READY",
  "BUSY",
  "RATE_LIMITED",
  "CONTEXT_EXCEEDED",
  "STAGE_LOST",
  "STAGE_FAILED",
]);

export function openaiErrors(
  error: ShoalError,
  requestId: string,
): HttpError<ErrorBody> {
  const { code, details, httpStatus } = error;
  return httpErrorOf(error, {
    error: {
      message: messageOf(error, requestId),
      type: typeOf(code, httpStatus),
      param: typeof details.param === "string" ? details.param : null,
      code: OPENAI_CODES[code] ?? code.toLowerCase(),
      ...(TELLING.has(code) ? { details } : {}),
      ...(code === "CONTEXT_EXCEEDED" && {
        n_prompt_tokens: details.promptTokens,
        n_ctx: details.contextLength,
      }),
    },
  });
}

/** OpenAI's `type` is the broad class of an error; clients show it, few match it. */
function typeOf(code: ErrorCode, status: number): string {
  if (code === "BUSY" || code === "RATE_LIMITED") return "overloaded_error";
  if (status === 503) return "unavailable_error";
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}
