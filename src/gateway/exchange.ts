/**
 * A request for text and its answer, from the arrival of the body until the last byte is sent or the client is gone. It has the one signal
 * that frees everything the request has taken. Its end is told in one event: who asked for what, how it ended, its times and counts, no text.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import {
  ShoalError,
  type Clock,
  type EventFields,
  type EventSink,
} from "../lib/index.ts";
import type { Caller } from "./caller.ts";
import { probeWithContinue, whenClosed } from "./departure.ts";

export class Exchange {
  readonly id: string;
  readonly arrivedMs: number;
  readonly caller: Caller;
  /** Sends a client that closed its sending side a byte, to learn whether it still reads. Unset: before the answer's headers. */
  probe: (() => void) | undefined;
  #controller = new AbortController();
  #facts: Record<string, EventFields[string]> = {};
  #error: ShoalError | undefined;

  constructor(id: string, arrivedMs: number, caller: Caller) {
    this.id = id;
    this.arrivedMs = arrivedMs;
    this.caller = caller;
    this.#facts.key = caller.key?.name;
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
  maxBodiesBytes: number;
  bodyLimitBytes: number;
  writeTimeoutMs: number;
}

/** All running exchanges. */
export class Exchanges {
  #running = new Set<Exchange>();
  #bodiesBytes = 0;
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
    const { clock, writeTimeoutMs } = this.#options;
    const { caller } = request;
    const bodyBytes = this.#makeRoom(request);
    const startedMs = clock.now();
    const exchange = new Exchange(request.id, startedMs, caller);
    this.#running.add(exchange);
    this.#bodiesBytes += bodyBytes;
    const gone = new ShoalError("ABORTED", "the client went away");
    let toEnd = 2; // the work and the response
    let answered: boolean | undefined;
    let forgetReader: (() => void) | undefined;
    const half = (): void => {
      if (--toEnd > 0) return;
      this.#bodiesBytes -= bodyBytes;
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
      caller.key?.takeRequest();
      caller.tell(reply);
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

  /** Returns what the request's body takes, at most. Throws BUSY. */
  #makeRoom({ headers }: FastifyRequest): number {
    const { maxRequests, maxBodiesBytes, bodyLimitBytes } = this.#options;
    const said = Number(headers["content-length"]);
    const bytes = Number.isFinite(said) ? said : bodyLimitBytes;
    if (this.#running.size >= maxRequests) {
      throw new ShoalError(
        "BUSY",
        `the gateway already handles ${maxRequests} requests`,
        { maxRequests },
      );
    }
    if (this.#bodiesBytes + bytes > maxBodiesBytes) {
      throw new ShoalError(
        "BUSY",
        `the gateway already handles requests of ${maxBodiesBytes} bytes together`,
        { maxBodiesBytes },
      );
    }
    return bytes;
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
