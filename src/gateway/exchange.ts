/**
 * A request for text and its answer, from the arrival of the body until the last byte is sent or the client is gone. It has the one signal
 * that frees everything the request has taken.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import {
  ShoalError,
  type Clock,
  type EventFields,
  type EventSink,
} from "../lib/index.ts";
import { probeWithContinue, whenClosed } from "./departure.ts";

export class Exchange {
  readonly id: string;
  readonly arrivedMs: number;
  /** Sends a client that closed its sending side a byte, to learn whether it still reads. Unset: before the answer's headers. */
  probe: (() => void) | undefined;
  #controller = new AbortController();
  #facts: Record<string, EventFields[string]> = {};
  #error: ShoalError | undefined;

  constructor(id: string, arrivedMs: number) {
    this.id = id;
    this.arrivedMs = arrivedMs;
  }

  /** Aborts when the client goes, the gateway stops, or `abort` is called. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: ShoalError): void {
    this.#controller.abort(reason);
  }

  /** Counts for the final event. Never text. */
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
  writeTimeoutMs: number;
}

/** All running exchanges. */
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

  /**
   * Runs `work` as an exchange, which ends when the work is done and the response is sent or its client gone. A client that leaves the rest
   * unread for `writeTimeoutMs` is dropped. Throws BUSY if too many run.
   */
  async run<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    work: (exchange: Exchange) => Promise<T>,
  ): Promise<T> {
    const { clock, maxRequests, writeTimeoutMs } = this.#options;
    if (this.#running.size >= maxRequests) {
      throw new ShoalError(
        "BUSY",
        `the gateway already handles ${maxRequests} requests`,
        { maxRequests },
      );
    }
    const startedMs = clock.now();
    const exchange = new Exchange(request.id, startedMs);
    this.#running.add(exchange);
    const gone = new ShoalError("ABORTED", "the client went away");
    let toEnd = 2; // the work and the response
    let answered: boolean | undefined;
    let forgetReader: (() => void) | undefined;
    const half = (): void => {
      if (--toEnd > 0) return;
      this.#end(exchange, answered === true, {
        requestId: exchange.id,
        path: request.routeOptions.url,
        status: reply.raw.headersSent ? reply.raw.statusCode : undefined,
        ms: clock.now() - startedMs,
      });
    };
    const probe = (): void =>
      exchange.probe === undefined
        ? probeWithContinue(request, reply)
        : exchange.probe();
    whenClosed({ request, reply, clock, probe }, (finished) => {
      answered = finished;
      forgetReader?.();
      if (!finished) exchange.abort(gone);
      half();
    });
    try {
      return await work(exchange);
    } catch (error) {
      exchange.fail(ShoalError.from(error));
      throw error;
    } finally {
      if (answered === undefined) {
        forgetReader = clock.after(writeTimeoutMs, () => reply.raw.destroy());
      }
      half();
    }
  }

  /** Accepts no more requests: new ones get SHUTTING_DOWN. */
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

  #end(exchange: Exchange, answered: boolean, base: EventFields): void {
    this.#running.delete(exchange);
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
    if (this.#running.size > 0) return;
    for (const resolve of this.#onDrained.splice(0)) resolve();
  }
}
