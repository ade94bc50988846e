/** Ollama's client for JavaScript. */
import { Ollama } from "ollama";
import {
  type Client,
  FORECAST,
  FORM_TOKENS,
  MAX_TOKENS,
  MODEL,
  speaking,
} from "./client.ts";

export function ollamaChat(host: string): Client {
  const client = new Ollama({ host });
  const asked = (content: string, num_predict = MAX_TOKENS) => ({
    model: `${MODEL}:latest`,
    messages: [{ role: "user", content }],
    options: { temperature: 0, num_predict },
  });
  return speaking({
    name: "ollama",
    isRefusal: (error) =>
      error instanceof Error &&
      error.name === "ResponseError" &&
      "status_code" in error &&
      error.status_code === 400,
    plain: async (prompt) => (await client.chat(asked(prompt))).message.content,
    stream: async function* (prompt, maxTokens, signal) {
      const request = { ...asked(prompt, maxTokens), stream: true as const };
      const stream = await client.chat(request);
      signal.addEventListener("abort", () => stream.abort());
      for await (const line of stream) yield line.message.content;
    },
    structured: async (prompt) => {
      const request = { ...asked(prompt, FORM_TOKENS), format: FORECAST };
      const { message } = await client.chat(request);
      return JSON.parse(message.content) as unknown;
    },
  });
}
