/**
 * The event log as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). A reader has no queue but a
 * position in the log. A slow reader falls behind, and if its position is no longer kept it is told so.
 *
 *     id: <run>-<number>                      an event; its data is JSON
 *     event: gap                              events are missing here: {"missed": 12}, or null if unknown
 *     : beat                                  nothing happened
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { DIAGNOSTICS_DEFAULTS } from "./defaults.ts";
import type { EventLog } from "./event-log.ts";

interface Reader {
  response: ServerResponse;
  /** The last event it was sent. */
  seq: number;
  takenMs: number;
}

export class EventStreams {
  #log: EventLog;
  #readers = new Set<Reader>();
  #unsubscribe: (() => void) | undefined;
  #flush: NodeJS.Timeout | undefined;
  #beat: NodeJS.Timeout | undefined;

  constructor(log: EventLog) {
    this.#log = log;
  }

  get size(): number {
    return this.#readers.size;
  }

  get isFull(): boolean {
    return this.#readers.size >= DIAGNOSTICS_DEFAULTS.eventStreams;
  }

  start(): void {
    this.#unsubscribe = this.#log.subscribe(() => {
      if (this.#readers.size === 0) return;
      this.#flush ??= setTimeout(() => {
        this.#flush = undefined;
        for (const reader of this.#readers) this.#pump(reader);
      }, DIAGNOSTICS_DEFAULTS.eventFlushMs);
    });
    this.#beat = setInterval(
      () => this.#heartbeat(),
      DIAGNOSTICS_DEFAULTS.eventHeartbeatMs,
    ).unref();
  }

  stop(): void {
    this.#unsubscribe?.();
    clearTimeout(this.#flush);
    clearInterval(this.#beat);
    for (const { response } of this.#readers) response.end();
    this.#readers.clear();
  }

  /** Sends the events after `lastId`, and each following one until the reader leaves. */
  open(
    request: IncomingMessage,
    response: ServerResponse,
    lastId: string | undefined,
    headers: Readonly<Record<string, string>>,
  ): void {
    const { afterSeq, missed } = this.#log.since(lastId);
    const reader = { response, seq: afterSeq, takenMs: Date.now() };
    response.writeHead(200, {
      ...headers,
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      // For proxies that would buffer the answer.
      "x-accel-buffering": "no",
    });
    response.write(`retry: ${DIAGNOSTICS_DEFAULTS.eventRetryMs}\n\n`);
    if (missed !== 0) response.write(gap(missed));
    this.#readers.add(reader);
    response.on("drain", () => {
      reader.takenMs = Date.now();
      this.#pump(reader);
    });
    request.on("close", () => this.#readers.delete(reader));
    response.on("close", () => this.#readers.delete(reader));
    this.#pump(reader);
  }

  /** Sends outstanding events as long as the reader accepts them. */
  #pump(reader: Reader): void {
    const { response } = reader;
    let text = "";
    const room = (): boolean =>
      response.writableLength + text.length <
      DIAGNOSTICS_DEFAULTS.eventStreamBytes;
    while (reader.seq < this.#log.newest && room()) {
      const missed = this.#log.oldest - 1 - reader.seq;
      if (missed > 0) {
        text += gap(missed);
        reader.seq += missed;
      }
      const next = this.#log.after(reader.seq);
      if (next === undefined) break;
      text += next.block;
      reader.seq = next.seq;
    }
    if (text === "") return;
    if (response.write(text)) reader.takenMs = Date.now();
  }

  #heartbeat(): void {
    const now = Date.now();
    for (const reader of this.#readers) {
      const { response, takenMs } = reader;
      if (!response.writableNeedDrain) {
        reader.takenMs = now;
        response.write(": beat\n\n");
      } else if (now - takenMs > DIAGNOSTICS_DEFAULTS.eventStallMs) {
        response.destroy();
        this.#readers.delete(reader);
      }
    }
  }
}

function gap(missed: number | null): string {
  return `event: gap\ndata: ${JSON.stringify({ missed })}\n\n`;
}
