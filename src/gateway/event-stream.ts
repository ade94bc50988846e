/**
 * Server-sent events as OpenAI uses them: `data: {json}\n\n` each, and `data: [DONE]` after a whole answer
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 */
import { once } from "node:events";
import type { FastifyReply } from "fastify";
import { ShoalError, withDeadline } from "../lib/index.ts";

export class EventStream {
  #raw: FastifyReply["raw"];
  #signal: AbortSignal;
  #writeTimeoutMs: number;

  /** Takes the response over from Fastify and sends its headers. */
  constructor(
    reply: FastifyReply,
    options: { signal: AbortSignal; writeTimeoutMs: number },
  ) {
    this.#raw = reply.raw;
    this.#signal = options.signal;
    this.#writeTimeoutMs = options.writeTimeoutMs;
    reply.hijack();
    this.#raw.on("error", () => {}); // a write that meets a closed socket; the close itself is what counts
    this.#raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no", // nginx would buffer the answer before it passes it on
    });
    this.#raw.flushHeaders();
  }

  async send(data: object): Promise<void> {
    await this.#write(`data: ${JSON.stringify(data)}\n\n`);
  }

  /** The answer is complete. */
  async done(): Promise<void> {
    await this.#write("data: [DONE]\n\n");
    this.#raw.end();
  }

  /** Of one line. Readers of events skip it, and so does this one while nobody reads. */
  comment(text = ""): void {
    const { writable, writableNeedDrain } = this.#raw;
    if (!writable || writableNeedDrain) return;
    this.#raw.write(text === "" ? ":\n\n" : `: ${text}\n\n`);
  }

  /** The answer failed: sends the error and ends without [DONE]. A client that does not read gets nothing. */
  fail(body: object): void {
    if (this.#raw.destroyed) return;
    if (this.#raw.writableNeedDrain) {
      this.#raw.destroy();
      return;
    }
    this.#raw.end(`data: ${JSON.stringify(body)}\n\n`);
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
