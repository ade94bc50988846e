/** Streams of events over HTTP, in the forms that the APIs have. */
import { once } from "node:events";
import type { FastifyReply } from "fastify";
import { ShoalError, withDeadline } from "../lib/index.ts";
import type { StreamEvent } from "./api.ts";

export interface StreamForm {
  contentType: string;
  event(event: StreamEvent): string;
  /** Of one line, "" for none. Readers skip it. */
  comment(text: string): string;
}

/** Server-sent events as OpenAI uses them: only data (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export const DATA_EVENTS: StreamForm = Object.freeze({
  contentType: "text/event-stream; charset=utf-8",
  event: (event: StreamEvent) => `data: ${jsonOf(event)}\n\n`,
  comment: (text: string) => (text === "" ? ":\n\n" : `: ${text}\n\n`),
});

/** Server-sent events whose name is their data's `type`, as OpenAI's Responses and Anthropic have them. */
export const NAMED_EVENTS: StreamForm = Object.freeze({
  ...DATA_EVENTS,
  event: (event: StreamEvent) => {
    const { type } = event as { type?: unknown };
    const name = typeof type === "string" ? `event: ${type}\n` : "";
    return name + DATA_EVENTS.event(event);
  },
});

/** JSON, one a line, as Ollama has it. It knows no comments: a space between two lines is what no reader minds. */
export const JSON_LINES: StreamForm = Object.freeze({
  contentType: "application/x-ndjson",
  event: (event: StreamEvent) => `${jsonOf(event)}\n`,
  comment: () => " ",
});

const jsonOf = (event: StreamEvent): string =>
  typeof event === "string" ? event : JSON.stringify(event);

export class EventStream {
  #raw: FastifyReply["raw"];
  #form: StreamForm;
  #signal: AbortSignal;
  #writeTimeoutMs: number;

  /** Takes the response over from Fastify and sends its headers. */
  constructor(
    reply: FastifyReply,
    options: { form: StreamForm; signal: AbortSignal; writeTimeoutMs: number },
  ) {
    this.#raw = reply.raw;
    this.#form = options.form;
    this.#signal = options.signal;
    this.#writeTimeoutMs = options.writeTimeoutMs;
    reply.hijack();
    this.#raw.on("error", () => {}); // a write that meets a closed socket; the close itself is what counts
    this.#raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      "content-type": options.form.contentType,
      "cache-control": "no-cache",
      "x-accel-buffering": "no", // nginx would buffer the answer before it passes it on
    });
    this.#raw.flushHeaders();
  }

  async send(events: readonly StreamEvent[]): Promise<void> {
    if (events.length > 0) await this.#write(this.#textOf(events));
  }

  /** The answer is complete. */
  end(): void {
    this.#raw.end();
  }

  /** Of one line. Readers of events skip it, and so does this one while nobody reads. */
  comment(text = ""): void {
    const { writable, writableNeedDrain } = this.#raw;
    if (!writable || writableNeedDrain) return;
    this.#raw.write(this.#form.comment(text));
  }

  /** The answer failed: sends the error and ends. A client that does not read gets nothing. */
  fail(events: readonly StreamEvent[]): void {
    if (this.#raw.destroyed) return;
    if (this.#raw.writableNeedDrain) {
      this.#raw.destroy();
      return;
    }
    this.#raw.end(this.#textOf(events));
  }

  #textOf(events: readonly StreamEvent[]): string {
    return events.map((event) => this.#form.event(event)).join("");
  }

  /** Waits until a slow client has made room: the generation is no faster than its reader. */
  async #write(text: string): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#raw.destroyed) {
      throw new ShoalError("ABORTED", "the client went away");
    }
    if (this.#raw.write(text)) return;
    await withDeadline(
      this.#writeTimeoutMs,
      "a client that reads its stream",
      (signal) => once(this.#raw, "drain", { signal }),
      { signal: this.#signal },
    );
  }
}
