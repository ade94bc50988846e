/** What a test asks of every official client, whichever API it speaks. */
import assert from "node:assert/strict";
import { z } from "zod";

/** As an error of the client tells that a prompt is longer than the context. */
export const TOO_LONG = /the context .* is limited to 512/;

/** Of a plain reply. */
export const MAX_TOKENS = 24;
/** Of a call, and of a reply that has a form. */
export const FORM_TOKENS = 100;
/** Far more than a client waits for that leaves at the first piece. */
export const LONG_TOKENS = 400;

export const MODEL = "Shoal demo";
export const TOOL = "forecast";
export const TOOL_RESULT = "Sunny.";
/** Any reply that keeps to it is short. */
export const Forecast = z.strictObject({
  city: z.enum(["Bern", "Rome"]),
  days: z.number().int().min(1).max(9),
});
/** The same, for clients that take no zod. */
export const FORECAST = {
  type: "object" as const,
  properties: {
    city: { enum: ["Bern", "Rome"] },
    days: { type: "integer", minimum: 1, maximum: 9 },
  },
  required: ["city", "days"],
  additionalProperties: false,
};

/** The demo model's own, with tools as Hermes' models are told of them: without, they are told in words that fill half of its context. */
export const TEMPLATE =
  "{%- for tool in tools -%}{{- tool.function|tojson -}}{%- endfor -%}{%- for m in messages -%}{{- '<|' + m.role + '|>' + (m.content or '')|trim -}}{%- for call in m.tool_calls -%}{{- '<tool_call>' + call.function|tojson + '</tool_call>' -}}{%- endfor -%}{{- '</s>' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}";

/** All of it greedy. */
export interface Client {
  readonly name: string;
  /** The reply, of `MAX_TOKENS`. */
  plain(prompt: string): Promise<string>;
  /** The pieces in which it comes. */
  streamed(prompt: string): Promise<string[]>;
  /** A call of the tool that it was told to make, and the answer to its result. Without: its API cannot tell a model to call. */
  tool?(prompt: string): Promise<{ given: unknown; answer: string }>;
  /** A reply that has the form of `Forecast`. */
  structured(prompt: string): Promise<unknown>;
  /** Leaves a reply of `LONG_TOKENS` at its first piece, as its users do. Throws if it hears the end all the same. */
  leave(prompt: string): Promise<void>;
  /** Whether it threw this for a request that is refused (400). */
  isRefusal(error: unknown): boolean;
}

/** What a client in JavaScript tells of itself. */
export type Spoken = Omit<Client, "streamed" | "leave"> & {
  stream: (
    prompt: string,
    maxTokens: number,
    signal: AbortSignal,
  ) => AsyncIterable<string>;
};

export function speaking({ stream, ...client }: Spoken): Client {
  return {
    ...client,
    streamed: async (prompt) => {
      const { signal } = new AbortController();
      const pieces: string[] = [];
      for await (const piece of stream(prompt, MAX_TOKENS, signal))
        pieces.push(piece);
      return pieces;
    },
    leave: async (prompt) => {
      const controller = new AbortController();
      let pieces = 0;
      try {
        for await (const piece of stream(
          prompt,
          LONG_TOKENS,
          controller.signal,
        )) {
          if (piece === "") continue;
          pieces++;
          controller.abort();
        }
      } catch (error) {
        assert.match(String(error), /abort/i);
      }
      assert.ok(pieces > 0 && pieces < LONG_TOKENS / 2, `${pieces} pieces`);
    },
  };
}
