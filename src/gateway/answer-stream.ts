/**
 * A streamed answer. Its headers go out with the first token, so that an error before it has its own status; for a client that wants to hear
 * what it waits for (`include_progress`), with the first wait. From then on comments keep the stream alive and say what it waits for.
 */
import type { FastifyReply } from "fastify";
import type { Clock } from "../lib/index.ts";
import { EventStream } from "./event-stream.ts";
import type { Exchange } from "./exchange.ts";

export interface AnswerStreamOptions {
  clock: Clock;
  aliveMs: number;
  writeTimeoutMs: number;
  includeProgress: boolean;
}

export class AnswerStream {
  readonly #reply: FastifyReply;
  readonly #exchange: Exchange;
  readonly #options: AnswerStreamOptions;
  #events: EventStream | undefined;
  #waitingFor: string | undefined;
  #endAlive = (): void => {};

  constructor(
    reply: FastifyReply,
    exchange: Exchange,
    options: AnswerStreamOptions,
  ) {
    this.#reply = reply;
    this.#exchange = exchange;
    this.#options = options;
  }

  /** Undefined before its headers went out: an error can have its own status. */
  get events(): EventStream | undefined {
    return this.#events;
  }

  open(): EventStream {
    if (this.#events !== undefined) return this.#events;
    const events = new EventStream(this.#reply, {
      signal: this.#exchange.signal,
      writeTimeoutMs: this.#options.writeTimeoutMs,
    });
    this.#events = events;
    this.#exchange.probe = () => this.#live();
    this.#liveOn();
    return events;
  }

  /** Each change of what it waits for; undefined: it goes on. */
  waiting(what: string | undefined): void {
    this.#waitingFor = what;
    if (what !== undefined && this.#options.includeProgress) this.open();
    this.#live();
  }

  /** The answer is whole, or failed. */
  end(): void {
    this.#endAlive();
  }

  #live(): void {
    const what = this.#waitingFor;
    this.#events?.comment(what === undefined ? "" : `waiting for ${what}`);
  }

  #liveOn(): void {
    const { clock, aliveMs } = this.#options;
    this.#endAlive = clock.after(aliveMs, () => {
      this.#live();
      this.#liveOn();
    });
  }
}
