/** When a response is over: it is sent, or its client is gone. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../lib/index.ts";

/**
 * A client that closes its sending side may still read, or may be gone: TCP shows the difference only when something is sent to it. The
 * first probe waits until most short answers are sent; the write after a refused one fails.
 */
const FIRST_PROBE_MS = 1_000;
const NEXT_PROBE_MS = 500;

export interface Watched {
  request: FastifyRequest;
  reply: FastifyReply;
  clock: Clock;
  /** Sends the client something that does not change its answer. */
  probe: () => void;
}

/**
 * Calls back once, when the response is sent (`finished`) or can no longer be sent. The response itself closes when it is done or its
 * socket is gone. One that waits behind another on the same connection (pipelining) has no socket yet, and only the connection reports its
 * loss.
 */
export function whenClosed(
  { request, reply, clock, probe }: Watched,
  closed: (finished: boolean) => void,
): void {
  const { raw: response } = reply;
  const { socket } = request.raw;
  let finished = false;
  let told = false;
  let cancelProbe: (() => void) | undefined;
  const onFinish = (): void => {
    finished = true;
  };
  const probeIn = (ms: number): void => {
    cancelProbe = clock.after(ms, () => {
      probe();
      probeIn(NEXT_PROBE_MS);
    });
  };
  const onHalfClosed = (): void => probeIn(FIRST_PROBE_MS);
  const onClose = (): void => {
    // The socket's close makes the response close, while it is still calling its own listeners.
    if (told) return;
    told = true;
    cancelProbe?.();
    response.off("close", onClose);
    socket.off("close", onClose);
    socket.off("end", onHalfClosed);
    closed(finished);
  };
  response.once("finish", onFinish);
  response.once("close", onClose);
  socket.once("close", onClose);
  if (socket.readableEnded) onHalfClosed();
  else socket.once("end", onHalfClosed);
  if (socket.destroyed) onClose();
}

/** "100 Continue" before the headers: every client of HTTP/1.1 skips it (RFC 9110, 15.2). */
export function probeWithContinue(
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { raw: response } = reply;
  const isNext = response.socket !== null; // otherwise it waits behind another response
  if (isNext && !response.headersSent && request.raw.httpVersion === "1.1") {
    response.writeContinue();
  }
}
