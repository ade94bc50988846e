/** Errors as HTTP: what is the same in each API's form, and what Fastify's own errors are. */
import { isShoalError, ShoalError, type ErrorCode } from "../lib/index.ts";

export interface HttpError<Body extends object = object> {
  status: number;
  headers: Record<string, string>;
  body: Body;
}

/** Seconds until a retry makes sense. Readiness reaches the gateway within a second of the last shard; a token takes less. */
const RETRY_AFTER_S: Partial<Record<ErrorCode, number>> = {
  SWARM_NOT_READY: 2,
  BUSY: 1,
  RATE_LIMITED: 1,
  STAGE_FAILED: 2,
  SHUTTING_DOWN: 5,
};

export function httpErrorOf<Body extends object>(
  error: ShoalError,
  body: Body,
): HttpError<Body> {
  const { httpStatus: status } = error;
  const headers: Record<string, string> = {};
  const retryAfter = retryAfterS(error);
  if (retryAfter !== undefined) headers["retry-after"] = String(retryAfter);
  if (status === 401) headers["www-authenticate"] = "Bearer";
  return { status, headers, body };
}

/** An internal error's message may contain anything, even a prompt. The events have its origin. */
export function messageOf(error: ShoalError, requestId: string): string {
  return error.code === "INTERNAL"
    ? `the gateway failed on this request (${requestId}); its log says where`
    : error.message;
}

function retryAfterS(error: ShoalError): number | undefined {
  const { retryAfterMs } = error.details;
  if (typeof retryAfterMs === "number") {
    return Math.max(1, Math.ceil(retryAfterMs / 1000));
  }
  return RETRY_AFTER_S[error.code];
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
