/**
 * One error class for the whole of Shoal. An error has a stable `code`, typed `details` and a `cause`, so that it crosses
 * processes and wires unchanged and can become an HTTP status, an exit code or a metric label. Match on the code, never on text.
 */

/** Every code, by folder: [HTTP status, exit code]. Exit codes follow sysexits.h (64 usage, 65 data, 66 no input, 69 unavailable …). */
const CODES = {
  // lib
  INTERNAL: [500, 70],
  ABORTED: [499, 130],
  DEADLINE: [504, 75],
  USAGE: [400, 64],
  NODE_VERSION: [500, 69],
  NOT_BUILT: [500, 69],
  FILE_NOT_FOUND: [404, 66],
  FILE_UNREADABLE: [500, 66],
  FILE_UNWRITABLE: [500, 73],
  DISK_FULL: [507, 73],
  /** The reader of standard output is gone: as the shell reports a program that SIGPIPE ended. */
  OUTPUT_CLOSED: [499, 141],
  // gguf
  GGUF_NOT_GGUF: [422, 65],
  GGUF_VERSION: [422, 65],
  GGUF_TRUNCATED: [422, 65],
  GGUF_CORRUPT: [422, 65],
  GGUF_LIMIT: [422, 65],
  GGUF_SPLIT_MISSING: [422, 66],
  // model
  MODEL_NOT_LANGUAGE: [422, 65],
  MODEL_ARCHITECTURE: [422, 65],
  MODEL_TENSOR_UNKNOWN: [422, 65],
  MODEL_TENSOR_MISSING: [422, 65],
  MODEL_SHARDS: [422, 64],
  MANIFEST_INVALID: [422, 65],
  SHARD_FOREIGN: [422, 65],
  SHARD_NOT_FOUND: [404, 66],
  // ring
  /** The other end of a data connection did not prove its keys, or a frame did not authenticate. */
  RING_UNAUTHENTICATED: [502, 76],
  RING_CLOSED: [502, 69],
  RING_CONGESTED: [502, 69],
  RING_UNREACHABLE: [502, 69],
  // engine
  ENGINE_UNAVAILABLE: [500, 69],
  /** The graphics card, driver or library that was asked for is not there. */
  GPU_UNAVAILABLE: [500, 69],
  ENGINE_LOAD_FAILED: [500, 70],
  ENGINE_DIED: [502, 70],
  ENGINE_HUNG: [502, 70],
  ENGINE_GIVEN_UP: [502, 70],
  ENGINE_FAILED: [500, 70],
  ENGINE_NOT_EXACT: [500, 70],
  TEMPLATE_MISSING: [400, 65],
  TEMPLATE_FAILED: [400, 65],
  // network
  IDENTITY_INVALID: [500, 65],
  HOME_IN_USE: [500, 69],
  /** Another process has the same key, and runs longer. */
  IDENTITY_IN_USE: [500, 69],
  ADDRESS_INVALID: [400, 64],
  INVITATION_INVALID: [400, 64],
  PORT_IN_USE: [500, 69],
  BOOTSTRAP_UNREACHABLE: [503, 69],
  DIAL_FAILED: [502, 69],
  PROTOCOL_UNSUPPORTED: [502, 76],
  DHT_RECORD_INVALID: [400, 76],
  DHT_RECORD_REFUSED: [409, 76],
  DHT_SELF_TEST_FAILED: [500, 70],
  STREAM_CLOSED: [502, 69],
  STREAM_OVERFLOW: [500, 70],
  FRAME_TOO_LARGE: [400, 76],
  FRAME_MALFORMED: [400, 76],
  COMMAND_UNKNOWN: [400, 76],
  COMMAND_MALFORMED: [400, 76],
  COMMAND_UNAUTHORIZED: [403, 77],
  RATE_LIMITED: [429, 69],
  RELAY_LIMIT: [429, 69],
  // torrent
  PIECE_INVALID: [422, 65],
  PIECE_MISSING: [404, 66],
  CONTENT_UNKNOWN: [404, 66],
  CONTENT_CHANGED: [410, 66],
  CONTENT_BUSY: [409, 75],
  CONTENT_INVALID: [422, 65],
  CONTENT_UNAVAILABLE: [503, 69],
  SOURCE_BANNED: [403, 76],
  TRANSFER_DIED: [502, 70],
  ORIGIN_FAILED: [502, 69],
  ORIGIN_INVALID: [502, 76],
  // hub
  HUB_NOT_FOUND: [404, 66],
  HUB_CHOICE: [422, 64],
  HUB_DENIED: [403, 77],
  HUB_RATE_LIMITED: [429, 75],
  HUB_UNREACHABLE: [503, 69],
  HUB_CERTIFICATE: [502, 69],
  HUB_OFFLINE: [503, 66],
  HUB_INVALID: [502, 76],
  HUB_CHANGED: [409, 75],
  HUB_CHECKSUM: [422, 65],
  // cluster
  ANNOUNCEMENT_INVALID: [400, 76],
  /** The peer speaks another version of the protocol. */
  PROTOCOL_VERSION: [400, 76],
  /** The clocks of two machines are too far apart: a warning, no refusal. */
  CLOCK_SKEW: [400, 65],
  CLUSTER_UNKNOWN: [404, 66],
  CLUSTER_MODEL_MISMATCH: [409, 65],
  /** The right model, but another plan. */
  CLUSTER_PLAN_MISMATCH: [409, 65],
  CLUSTER_MODE_MISMATCH: [409, 65],
  CLUSTER_FULL: [503, 69],
  SWARM_NOT_READY: [503, 69],
  MEMORY_INSUFFICIENT: [507, 69],
  MOVE_REFUSED: [409, 75],
  // inference
  BUSY: [503, 69],
  DRAINING: [503, 75],
  STAGE_LOST: [502, 69],
  STAGE_FAILED: [502, 70],
  CONTEXT_EXCEEDED: [400, 65],
  // grammar
  SCHEMA_UNSUPPORTED: [400, 65],
  /** A grammar that is none, or takes too much work. */
  GRAMMAR_INVALID: [400, 65],
  /** The model cannot write what the grammar wants. */
  GRAMMAR_STUCK: [422, 65],
  // gateway
  REQUEST_INVALID: [400, 65],
  REQUEST_TOO_LARGE: [413, 65],
  REQUEST_MEDIA_TYPE: [415, 65],
  REQUEST_TIMEOUT: [408, 75],
  REQUEST_HEADERS: [431, 65],
  REQUEST_EXPECTATION: [417, 65],
  PARAMETER_UNSUPPORTED: [400, 65],
  API_UNSUPPORTED: [501, 69],
  UNAUTHENTICATED: [401, 77],
  FORBIDDEN: [403, 77],
  MODEL_UNKNOWN: [404, 66],
  NOT_FOUND: [404, 66],
  SHUTTING_DOWN: [503, 75],
  // roles
  PROCESS_DIED: [502, 70],
} as const satisfies Record<
  string,
  readonly [httpStatus: number, exitCode: number]
>;

export type ErrorCode = keyof typeof CODES;

/** What an error may carry: plain data, so that it survives JSON, CBOR and structured clone. Never a prompt, never a secret. */
export type ErrorDetails = Readonly<
  Record<
    string,
    string | number | boolean | readonly (string | number)[] | undefined
  >
>;

export interface ErrorObject {
  code: ErrorCode;
  message: string;
  details?: ErrorDetails;
}

export class ShoalError extends Error {
  override readonly name = "ShoalError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }

  get httpStatus(): number {
    return CODES[this.code][0];
  }

  get exitCode(): number {
    return CODES[this.code][1];
  }

  toObject(): ErrorObject {
    return { code: this.code, message: this.message, details: this.details };
  }

  /** From `toObject` on the far side of a wire: an unknown code becomes INTERNAL and is kept in the details. */
  static fromObject(value: unknown): ShoalError {
    const o = (
      typeof value === "object" && value !== null ? value : {}
    ) as Record<string, unknown>;
    const message =
      typeof o.message === "string"
        ? o.message.slice(0, 2000)
        : "unknown error";
    const details = (
      typeof o.details === "object" && o.details !== null ? o.details : {}
    ) as ErrorDetails;
    if (typeof o.code === "string" && Object.hasOwn(CODES, o.code)) {
      return new ShoalError(o.code as ErrorCode, message, details);
    }
    return new ShoalError("INTERNAL", message, {
      ...details,
      remoteCode: String(o.code).slice(0, 64),
    });
  }

  /** Any thrown value as a ShoalError: itself, or INTERNAL with the value as its cause. */
  static from(thrown: unknown): ShoalError {
    if (thrown instanceof ShoalError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new ShoalError("INTERNAL", message, {}, thrown);
  }
}

/** True if `thrown` is a ShoalError, with one of `codes` if any are given. */
export function isShoalError(
  thrown: unknown,
  ...codes: ErrorCode[]
): thrown is ShoalError {
  return (
    thrown instanceof ShoalError &&
    (codes.length === 0 || codes.includes(thrown.code))
  );
}
