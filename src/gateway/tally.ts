/** Running replies, and what all replies of this gateway took: counted where tokens pass, never the text. */
import type { SessionStatus } from "../inference/index.ts";
import type { ReplyPart } from "./api.ts";
import type { ReplyRequest } from "./replies.ts";

export interface Running extends Pick<
  ReplyRequest,
  "sampling" | "maxTokens" | "stop"
> {
  /** Counts up from 0. */
  number: number;
  promptTokens: number;
  completionTokens: number;
  session(): SessionStatus | undefined;
}

export interface Totals {
  /** Computed for prompts; not those that the stages had kept. */
  promptTokens: number;
  /** From a route to the first token. */
  promptMs: number;
  completionTokens: number;
  /** From the first token to the last. */
  completionMs: number;
  /** The most tokens of prompt and reply together. */
  mostTokens: number;
}

export class Tally {
  #running = new Set<Running>();
  #begun = 0;
  #now: () => number;
  readonly totals: Totals = {
    promptTokens: 0,
    promptMs: 0,
    completionTokens: 0,
    completionMs: 0,
    mostTokens: 0,
  };

  constructor(now: () => number) {
    this.#now = now;
  }

  get running(): readonly Running[] {
    return [...this.#running];
  }

  /** `parts` as they are; counted from when they are first read until they end. */
  async *counted(
    reply: Omit<Running, "number" | "completionTokens">,
    parts: AsyncGenerator<ReplyPart, void, undefined>,
  ): AsyncGenerator<ReplyPart, void, undefined> {
    const running = { ...reply, number: this.#begun++, completionTokens: 0 };
    this.#running.add(running);
    let firstAtMs: number | undefined;
    try {
      for await (const part of parts) {
        firstAtMs ??= this.#now();
        running.completionTokens = part.completionTokens;
        yield part;
      }
    } finally {
      this.#running.delete(running);
      if (firstAtMs !== undefined) this.#add(running, this.#now() - firstAtMs);
    }
  }

  /** Texts were embedded, in `ms`. */
  embedded(tokens: number, ms: number): void {
    this.totals.promptTokens += tokens;
    this.totals.promptMs += ms;
  }

  #add(reply: Running, completionMs: number): void {
    const { totals } = this;
    const session = reply.session();
    const { queuedMs = null, timeToFirstTokenMs = null } = session ?? {};
    totals.promptTokens += reply.promptTokens - (session?.cachedTokens ?? 0);
    if (timeToFirstTokenMs !== null)
      totals.promptMs += Math.max(0, timeToFirstTokenMs - (queuedMs ?? 0));
    totals.completionTokens += reply.completionTokens;
    totals.completionMs += completionMs;
    totals.mostTokens = Math.max(
      totals.mostTokens,
      reply.promptTokens + reply.completionTokens,
    );
  }
}
