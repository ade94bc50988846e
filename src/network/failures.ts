/** What libp2p, the system and the native binding throw, as the few codes that the rest of Shoal knows. */
import { isShoalError, ShoalError, type ErrorDetails } from "../lib/index.ts";

/** A stream that ended otherwise than by a clean end between frames. */
export function streamClosed(peer: string, cause: unknown): ShoalError {
  if (isShoalError(cause)) return cause;
  const reason = cause instanceof Error ? cause.message : "";
  const why =
    cause instanceof Error && cause.name === "StreamResetError"
      ? "the peer reset it"
      : reason || "the connection closed";
  return new ShoalError(
    "STREAM_CLOSED",
    `stream to ${peer} closed: ${why}`,
    { peer },
    cause,
  );
}

/** A stream that could not be opened. */
export function openFailed(
  peer: string,
  protocol: string,
  cause: unknown,
): ShoalError {
  if (isShoalError(cause)) return cause;
  if (cause instanceof Error && cause.name === "UnsupportedProtocolError") {
    return new ShoalError(
      "PROTOCOL_UNSUPPORTED",
      `${peer} does not speak ${protocol}`,
      { peer, protocol },
      cause,
    );
  }
  return streamClosed(peer, cause);
}

const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "no such host name",
  EAI_AGAIN: "the name cannot be resolved now",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
};

/** Why one address could not be dialed, in a few words. */
export function dialReason(thrown: unknown): string {
  if (thrown instanceof Event) return "the stream ended";
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return dialReason(thrown.errors[0]);
  }
  const known = SYSTEM_REASONS[(thrown as NodeJS.ErrnoException).code ?? ""];
  if (known !== undefined) return known;
  if (
    thrown.name === "UnexpectedPeerError" ||
    /UnexpectedPeer|invalid peer id|expected peer/i.test(thrown.message)
  ) {
    return "another peer answers there";
  }
  if (thrown.name === "TimeoutError" || thrown.name === "AbortError") {
    return "no answer";
  }
  return (thrown.message.split("\n", 1)[0] ?? "").slice(0, 200);
}

export function dialFailed(
  message: string,
  details: ErrorDetails,
  cause?: unknown,
): ShoalError {
  return new ShoalError("DIAL_FAILED", message, details, cause);
}
