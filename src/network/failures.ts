/** Turns errors of libp2p, the system and the native binding into the few codes that the rest of Shoal knows. */
import { isShoalError, ShoalError, type ErrorDetails } from "../lib/index.ts";

/** js-libp2p raises some errors from closing streams (its issues 3415, 3512): they end that stream and nothing else. */
export function isStreamError(error: Error): boolean {
  return /^(Stream|Muxer|Connection)\w*Error$/.test(error.name);
}

/** A stream that did not end cleanly between frames. */
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

/** What libp2p's transport says, and the relay's answers in it. */
const RELAY_ANSWERS = [
  [/NO_RESERVATION/, "it is not connected with this relay"],
  [/RESOURCE_LIMIT_EXCEEDED|RESERVATION_REFUSED/, "a limit of this relay"],
  [/PERMISSION_DENIED/, "this relay refuses it"],
  [/CONNECTION_FAILED/, "it does not answer this relay"],
] as const;

function relayAnswer(message: string): string | undefined {
  return RELAY_ANSWERS.find(([said]) => said.test(message))?.[1];
}

/** A relay that gave no place. */
export function relayRefused(peer: string, cause: unknown): ShoalError {
  const message = cause instanceof Error ? cause.message : "";
  if (!/RESERVATION_REFUSED|RESOURCE_LIMIT_EXCEEDED/.test(message))
    return openFailed(peer, "circuit relay", cause);
  return new ShoalError(
    "RELAY_LIMIT",
    `relay ${peer} has no place for this node`,
    { peer },
    cause,
  );
}

const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "no such host name",
  EAI_AGAIN: "the name cannot be resolved now",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
};

/** Why one address could not be dialled, for programs; DIAL_FAILED has one per address in `kinds`. */
export type DialKind =
  "refused" | "no-name" | "no-route" | "other-peer" | "silent" | "failed";

const SYSTEM_KINDS: Readonly<Record<string, DialKind>> = {
  ECONNREFUSED: "refused",
  ENOTFOUND: "no-name",
  EAI_AGAIN: "no-name",
  EHOSTUNREACH: "no-route",
  ENETUNREACH: "no-route",
};

export function dialKind(thrown: unknown): DialKind {
  if (!(thrown instanceof Error)) return "failed";
  if (thrown instanceof AggregateError && thrown.errors.length > 0)
    return dialKind(thrown.errors[0]);
  const known = SYSTEM_KINDS[(thrown as NodeJS.ErrnoException).code ?? ""];
  if (known !== undefined) return known;
  const reason = dialReason(thrown);
  if (reason === OTHER_PEER) return "other-peer";
  return reason.startsWith(NO_ANSWER) ? "silent" : "failed";
}

const OTHER_PEER = "another peer answers there";
const NO_ANSWER = "no answer";

/** Why one address could not be dialled, in a few words. */
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
    return OTHER_PEER;
  }
  if (thrown.name === "TimeoutError" || thrown.name === "AbortError") {
    return NO_ANSWER;
  }
  return (
    relayAnswer(thrown.message) ??
    (thrown.message.split("\n", 1)[0] ?? "").slice(0, 200)
  );
}

export function dialFailed(
  message: string,
  details: ErrorDetails,
  cause?: unknown,
): ShoalError {
  return new ShoalError("DIAL_FAILED", message, details, cause);
}
