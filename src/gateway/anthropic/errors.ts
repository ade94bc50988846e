/** Errors in the form of Anthropic's API, with its types (https://platform.claude.com/docs/en/api/errors). */
import type { ErrorObject, ErrorResponse } from "@anthropic-ai/sdk/resources";
import type { ErrorCode, ShoalError } from "../../lib/index.ts";
import { type HttpError, httpErrorOf, messageOf } from "../http-error.ts";

type ErrorType = ErrorObject["type"];

/** Anthropic's own status for a server with too much to do; its clients try again after it. */
const OVERLOADED_STATUS = 529;

export function anthropicErrors(
  error: ShoalError,
  requestId: string,
): HttpError<ErrorResponse> {
  const { status, headers, body } = httpErrorOf<ErrorResponse>(error, {
    type: "error",
    error: {
      type: typeOf(error.code, error.httpStatus),
      message: messageOf(error, requestId),
    },
    request_id: requestId,
  });
  return {
    status: error.code === "BUSY" ? OVERLOADED_STATUS : status,
    headers: { ...headers, "request-id": requestId },
    body,
  };
}

const TYPES: Readonly<Record<number, ErrorType>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  504: "timeout_error",
};

function typeOf(code: ErrorCode, status: number): ErrorType {
  if (code === "BUSY") return "overloaded_error";
  return (
    TYPES[status] ?? (status < 500 ? "invalid_request_error" : "api_error")
  );
}
