/**
 * Errors in the form of OpenAI's API: `{"error": {message, type, param, code}}`, so that its clients throw their own classes. `code` is
 * Shoal's code in lower case, unless OpenAI has its own word for it.
 */
import { STATUS_CODES } from "node:http";
import {
  isShoalError,
  ShoalError,
  type ErrorCode,
  type ErrorDetails,
} from "../lib/index.ts";

export interface ErrorBody {
  error: {
    message: string;
    type: string;
    /** The wrong field of the request. */
    param: string | null;
    code: string;
    /** Numbers a program can use, for the codes of `TELLING`. */
    details?: ErrorDetails;
  };
}

export interface HttpError {
  status: number;
  headers: Record<string, string>;
  body: ErrorBody;
}

/** OpenAI's own codes (https://platform.openai.com/docs/guides/error-codes). */
const OPENAI_CODES: Partial<Record<ErrorCode, string>> = {
  MODEL_UNKNOWN: "model_not_found",
  CONTEXT_EXCEEDED: "context_length_exceeded",
  UNAUTHENTICATED: "invalid_api_key",
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
  "CONTEXT_EXCEEDED",
  "STAGE_LOST",
  "STAGE_FAILED",
]);

/** Seconds until a retry makes sense. Readiness reaches the gateway within a second of the last shard; a token takes less. */
const RETRY_AFTER_S: Partial<Record<ErrorCode, number>> = {
  SWARM_NOT_READY: 2,
  BUSY: 1,
  RATE_LIMITED: 1,
  STAGE_FAILED: 2,
  SHUTTING_DOWN: 5,
};

export function httpError(error: ShoalError, requestId: string): HttpError {
  const { code, details, httpStatus: status } = error;
  const headers: Record<string, string> = {};
  const retryAfter = retryAfterS(error);
  if (retryAfter !== undefined) headers["retry-after"] = String(retryAfter);
  if (status === 401) headers["www-authenticate"] = "Bearer";
  return {
    status,
    headers,
    body: {
      error: {
        // An internal error's message may contain anything, even a prompt. The events have its origin.
        message:
          code === "INTERNAL"
            ? `the gateway failed on this request (${requestId}); its log says where`
            : error.message,
        type: typeOf(code, status),
        param: typeof details.param === "string" ? details.param : null,
        code: OPENAI_CODES[code] ?? code.toLowerCase(),
        ...(TELLING.has(code) ? { details } : {}),
      },
    },
  };
}

function retryAfterS(error: ShoalError): number | undefined {
  const { retryAfterMs } = error.details;
  if (typeof retryAfterMs === "number") {
    return Math.max(1, Math.ceil(retryAfterMs / 1000));
  }
  return RETRY_AFTER_S[error.code];
}

/** OpenAI's `type` is the broad class of an error; clients show it, few match it. */
function typeOf(code: ErrorCode, status: number): string {
  if (code === "BUSY" || code === "RATE_LIMITED") return "overloaded_error";
  if (status === 503) return "unavailable_error";
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** An error of Fastify or a handler as a ShoalError. Fastify's own message is dropped, because a parser's may quote the body. */
export function fromFastify(thrown: unknown, limitBytes: number): ShoalError {
  if (isShoalError(thrown)) return thrown;
  const { code, statusCode } = (
    typeof thrown === "object" && thrown !== null ? thrown : {}
  ) as { code?: unknown; statusCode?: unknown };
  switch (code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new ShoalError(
        "REQUEST_TOO_LARGE",
        `the request's body is larger than ${limitBytes} bytes`,
        { limitBytes },
      );
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new ShoalError(
        "REQUEST_MEDIA_TYPE",
        "the request's content-type must be application/json",
      );
    case "FST_ERR_BAD_URL":
      return new ShoalError("REQUEST_INVALID", "the URL is malformed");
    default:
  }
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500) {
    return new ShoalError("REQUEST_INVALID", "the request is malformed");
  }
  return ShoalError.from(thrown);
}

/** A whole response to something that never became a request, written directly to the socket. */
export function rawResponse(error: ShoalError): string {
  const { status, body } = httpError(error, "");
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
    "",
    text,
  ].join("\r\n");
}
