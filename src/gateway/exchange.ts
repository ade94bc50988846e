/**
 * A request for text and its answer, from the moment the body is here until the last byte is out or the client is gone. Holds the
 * one signal that frees everything the request has taken.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import {
  ShoalError,
  type Clock,
  type EventFields,
  type EventSink,
} from "../lib/index.ts";

export class Exchange {
  readonly id: string;
  #controller = new AbortController();
  #facts: Record<string, EventFields[string]> = {};
  #error: ShoalError | undefined;

  constructor(id: string) {
    this.id = id;
  }

  /** Aborts when the client goes, the gateway stops, or `abort` is called. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: ShoalError): void {
    this.#controller.abort(reason);
  }

  /** Counts for the event at the end. Never text. */
  note(facts: EventFields): void {
    Object.assign(this.#facts, facts);
  }

  fail(error: ShoalError): void {
    this.#error ??= error;
  }

  get facts(): EventFields {
    return this.#facts;
  }

  get error(): ShoalError | undefined {
    return this.#error;
  }
}

export interface ExchangesOptions {
  clock: Clock;
  events: EventSink;
  maxRequests: number;
}

/** All that run now. */
export class Exchanges {
  #running = new Set<Exchange>();
  #options: ExchangesOptions;
  #stopping = false;
  #onDrained: (() => void)[] = [];

  constructor(options: ExchangesOptions) {
    this.#options = options;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Begins an exchange, which ends by itself with the response. Throws BUSY where too many run. */
  open(request: FastifyRequest, reply: FastifyReply): Exchange {
    const { clock, maxRequests } = this.#options;
    if (this.#running.size >= maxRequests) {
      throw new ShoalError(
        "BUSY",
        `the gateway already handles ${maxRequests} requests`,
        { maxRequests },
      );
    }
    const exchange = new Exchange(request.id);
    const startedMs = clock.now();
    const path = request.routeOptions.url ?? "";
    const { raw } = reply;
    const { socket } = request.raw;
    this.#running.add(exchange);

    const onClose = (): void => {
      raw.off("close", onClose);
      socket.off("close", onClose);
      const answered = raw.writableFinished;
      if (!answered) {
        exchange.abort(new ShoalError("ABORTED", "the client went away"));
      }
      this.#running.delete(exchange);
      this.#report(exchange, answered, {
        requestId: exchange.id,
        path,
        status: raw.headersSent ? raw.statusCode : undefined,
        ms: clock.now() - startedMs,
      });
      if (this.#running.size === 0) {
        for (const resolve of this.#onDrained.splice(0)) resolve();
      }
    };
    // The response closes when it is done or its socket is gone; one that waits behind another on the same connection
    // (pipelining) has no socket yet, and hears of its loss only from the connection.
    raw.once("close", onClose);
    socket.once("close", onClose);
    if (socket.destroyed) onClose();
    return exchange;
  }

  /** No more requests: new ones are told SHUTTING_DOWN. */
  stop(): void {
    this.#stopping = true;
  }

  /** Resolves once none runs. */
  drained(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onDrained.push(resolve));
  }

  abortAll(reason: ShoalError): void {
    for (const exchange of this.#running) exchange.abort(reason);
  }

  #report(exchange: Exchange, answered: boolean, base: EventFields): void {
    const { events } = this.#options;
    const { error, facts } = exchange;
    const fields = { ...base, ...facts, code: error?.code };
    if (error !== undefined && error.code !== "ABORTED") {
      const level = error.httpStatus >= 500 ? "warn" : "info";
      events[level]("API", "request failed", fields);
    } else if (answered) {
      events.info("API", "request answered", fields);
    } else {
      events.info("API", "client left before the end", fields);
    }
  }
}
