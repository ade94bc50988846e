/**
 * A streamed answer. Its headers go out with the first token or a moment after the reply began, so that an error that is known at once has
 * its own status; for a client that wants to hear what it waits for (`include_progress`), with the first wait; and in any case before a
 * proxy loses patience. From then on comments keep the stream alive and say what it waits for.
 */
import type { FastifyReply } from "fastify";
import type { Clock } from "../lib/index.ts";
import { EventStream, type StreamForm } from "./event-stream.ts";
import type { Exchange } from "./exchange.ts";
import { OPEN_AFTER_MS, SILENCE_MS } from "./options.ts";

export interface AnswerStreamOptions {
  clock: Clock;
  form: StreamForm;
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
  #endOpening: () => void;

  constructor(
    reply: FastifyReply,
    exchange: Exchange,
    options: AnswerStreamOptions,
  ) {
    this.#reply = reply;
    this.#exchange = exchange;
    this.#options = options;
    this.#endOpening = options.clock.after(SILENCE_MS, () => this.open());
  }

  /** Undefined before its headers went out: an error can have its own status. */
  get events(): EventStream | undefined {
    return this.#events;
  }

  open(): EventStream {
    if (this.#events !== undefined) return this.#events;
    this.#endOpening();
    const events = new EventStream(this.#reply, {
      form: this.#options.form,
      signal: this.#exchange.signal,
      writeTimeoutMs: this.#options.writeTimeoutMs,
    });
    this.#events = events;
    this.#exchange.probe = () => this.#live();
    this.#liveOn();
    return events;
  }

  /** The reply is being computed. */
  openSoon(): void {
    if (this.#events !== undefined) return;
    this.#endOpening();
    const { clock } = this.#options;
    this.#endOpening = clock.after(OPEN_AFTER_MS, () => this.open());
  }

  /** Each change of what it waits for; undefined: it goes on. */
  waiting(what: string | undefined): void {
    this.#waitingFor = what;
    if (what !== undefined && this.#options.includeProgress) this.open();
    this.#live();
  }

  /** The answer is whole, or failed. */
  end(): void {
    this.#endOpening();
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
