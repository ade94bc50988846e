/** Errors as llama-server has them (`format_error_response`, tools/server/server-common.cpp): the code is the status. */
import type { ShoalError } from "../../lib/index.ts";
import { type HttpError, httpErrorOf, messageOf } from "../http-error.ts";

const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  501: "not_supported_error",
  503: "unavailable_error",
};

export function llamaErrors(error: ShoalError, requestId: string): HttpError {
  const { code, httpStatus, details } = error;
  const fallback = httpStatus < 500 ? "invalid_request_error" : "server_error";
  return httpErrorOf(error, {
    error: {
      code: httpStatus,
      message: messageOf(error, requestId),
      type: TYPES[httpStatus] ?? fallback,
      ...(code === "CONTEXT_EXCEEDED" && {
        type: "exceed_context_size_error",
        n_prompt_tokens: details.promptTokens,
        n_ctx: details.contextLength,
      }),
    },
  });
}
