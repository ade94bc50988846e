/**
 * Requests: one stream, one frame there, exactly one frame back. Not for the hot path: opening a stream costs two round trips.
 *
 * The answer's first byte says what follows: 0 the reply, 1 an error as JSON {code, message, details}. So a refused peer learns the reason,
 * and an error keeps its code on the wire.
 */
import { ShoalError, withDeadline } from "../lib/index.ts";
import type { PeerTarget } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import { streamClosed } from "./failures.ts";
import type { FrameStream } from "./frame-stream.ts";
import type {
  Host,
  RequestHandler,
  RequestLimits,
  RequestOptions,
} from "./host.ts";

const REPLY = 0;
const ERROR = 1;
/** The reply's first byte. */
const KIND_BYTES = 1;

/** Sends `payload` and waits for the reply. Rejects with the other side's code, or with DEADLINE, STREAM_CLOSED … */
export async function request(
  host: Pick<Host, "openStream">,
  target: PeerTarget | string,
  protocol: string,
  payload: Uint8Array | Uint8Array[],
  options: RequestOptions = {},
): Promise<Uint8Array> {
  const {
    timeoutMs = DEFAULTS.requestMs,
    maxRequestBytes = DEFAULTS.requestBytes,
    maxReplyBytes = DEFAULTS.replyBytes,
    over,
    signal,
  } = options;
  let stream: FrameStream | undefined;
  try {
    return await withDeadline(
      timeoutMs,
      `request ${protocol} to ${nameOf(target)}`,
      async (limited) => {
        stream = await host.openStream(target, protocol, {
          maxFrameBytes: maxReplyBytes + KIND_BYTES,
          maxSendFrameBytes: maxRequestBytes,
          timeoutMs,
          over,
          signal: limited,
        });
        return readReply(await exchange(stream, payload), stream.peer);
      },
      {
        ...(signal && { signal }),
        details: { peer: nameOf(target), protocol },
      },
    );
  } catch (error) {
    stream?.abort(ShoalError.from(error));
    throw error;
  }
}

/** Answers `protocol`. Requests of one peer run in parallel, up to a limit. */
export function handleRequests(
  host: Pick<Host, "handleStreams">,
  protocol: string,
  handler: RequestHandler,
  limits: RequestLimits = {},
): void {
  const {
    maxRequestBytes = DEFAULTS.requestBytes,
    maxReplyBytes = DEFAULTS.replyBytes,
    maxRequestsPerPeer = DEFAULTS.requestsPerPeer,
  } = limits;
  host.handleStreams(protocol, (stream) => serve(stream, handler, limits), {
    maxFrameBytes: maxRequestBytes,
    maxSendFrameBytes: maxReplyBytes + KIND_BYTES,
    maxStreamsPerPeer: maxRequestsPerPeer,
    lastWords: encodeError,
  });
}

function serve(
  stream: FrameStream,
  handler: RequestHandler,
  limits: RequestLimits,
): void {
  const { readMs = DEFAULTS.requestReadMs, handleMs = DEFAULTS.requestMs } =
    limits;
  const gone = new AbortController();
  const reading = setTimeout(() => {
    stream.abort(
      new ShoalError(
        "DEADLINE",
        `request of ${stream.peer} did not arrive within ${readMs} ms`,
        {
          peer: stream.peer,
          timeoutMs: readMs,
        },
      ),
    );
  }, readMs);
  stream.onClose((error) => {
    clearTimeout(reading);
    gone.abort(error ?? streamClosed(stream.peer, undefined));
  });
  let asked = false;
  stream.onFrame((payload) => {
    if (asked) {
      stream.abort(
        new ShoalError("FRAME_MALFORMED", "more than one request on a stream", {
          peer: stream.peer,
        }),
      );
      return;
    }
    asked = true;
    clearTimeout(reading);
    void answer(stream, gone.signal, () =>
      withDeadline(
        handleMs,
        "the handler",
        (signal) =>
          handler(payload, {
            peer: stream.peer,
            address: stream.address,
            signal,
          }),
        {
          signal: gone.signal,
        },
      ),
    );
  });
}

async function answer(
  stream: FrameStream,
  gone: AbortSignal,
  handle: () => Promise<Uint8Array | Uint8Array[]>,
): Promise<void> {
  let parts: Uint8Array[];
  try {
    const reply = await handle();
    parts = [Uint8Array.of(REPLY), ...(Array.isArray(reply) ? reply : [reply])];
  } catch (error) {
    parts = [encodeError(ShoalError.from(error))];
  }
  if (gone.aborted) return;
  try {
    await stream.send(...parts);
  } catch (error) {
    // A reply above the limit is our fault; anything else has closed the stream.
    await stream.send(encodeError(ShoalError.from(error)))?.catch(() => {});
  }
  await stream.close();
}

/** The first frame that comes back. */
function exchange(
  stream: FrameStream,
  payload: Uint8Array | Uint8Array[],
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    stream.onFrame((frame) => {
      resolve(frame);
      stream.close().catch(() => {});
    });
    stream.onClose((error) =>
      reject(
        error ??
          streamClosed(stream.peer, new Error("it ended without a reply")),
      ),
    );
    stream
      .send(...(Array.isArray(payload) ? payload : [payload]))
      ?.catch((error: unknown) => {
        // If it is too large, the stream itself stays open. Otherwise onClose has reported more.
        reject(ShoalError.from(error));
      });
  });
}

function readReply(frame: Uint8Array, peer: string): Uint8Array {
  if (frame[0] === REPLY) return frame.subarray(KIND_BYTES);
  if (frame[0] === ERROR) {
    let error: unknown;
    try {
      error = JSON.parse(new TextDecoder().decode(frame.subarray(KIND_BYTES)));
    } catch {
      // fromObject makes INTERNAL of it.
    }
    throw ShoalError.fromObject(error);
  }
  throw new ShoalError(
    "FRAME_MALFORMED",
    `${peer} answered with kind ${frame[0] ?? "none"}`,
    { peer },
  );
}

function encodeError(error: ShoalError): Uint8Array {
  const json = Buffer.from(JSON.stringify(error.toObject()));
  return Buffer.concat([Uint8Array.of(ERROR), json]);
}

function nameOf(target: PeerTarget | string): string {
  return typeof target === "string"
    ? target
    : (target.peerId ?? target.addresses[0] ?? "nobody");
}
