/** POST /api/embed, and /api/embeddings, which is older (docs/api.md and server/routes.go of ollama/ollama at fb307609). */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Service } from "../answer.ts";
import { embed, MAX_INPUTS } from "../embeddings.ts";
import type { Prompt } from "../prompt.ts";
import { validate } from "../validate.ts";
import { normalized, shortened } from "../vectors.ts";
import { servedName } from "./names.ts";

const text = z.string({ error: "must be a string" });
const INPUT = "must be a string or a list of strings";

const embedSchema = z.object({
  model: text.nullish(),
  input: z
    .union([
      text,
      z
        .array(text, { error: INPUT })
        .max(MAX_INPUTS, { error: `must have at most ${MAX_INPUTS} texts` }),
    ])
    .nullish(),
  truncate: z.boolean({ error: "must be true or false" }).nullish(),
  /** As in Ollama, 0 and more than the model gives change nothing. */
  dimensions: z.int({ error: "must be a whole number" }).nullish(),
});

const embeddingsSchema = z.object({
  model: text.nullish(),
  prompt: text.nullish(),
});

export function embedRoutes(app: FastifyInstance, service: Service): void {
  const { exchanges, settings } = service;
  app.post("/api/embed", (request, reply) =>
    exchanges.run(request, reply, async (exchange) => {
      const fields = validate(embedSchema, request.body);
      const { model, input } = fields;
      const texts = typeof input === "string" ? [input] : (input ?? []);
      const isNone = texts.length === 0 || input === "";
      const order = {
        model: servedName(model),
        prompts: isNone ? [] : texts.map(promptOf),
        field: "input",
        truncates: fields.truncate !== false,
      };
      const { vectors, promptTokens, readyMs, ...embedded } = await embed(
        order,
        exchange,
        reply,
        service,
      );
      const dimensions =
        (fields.dimensions ?? 0) > 0 ? (fields.dimensions ?? 0) : undefined;
      const { arrivedMs } = exchange;
      return {
        model: model ?? embedded.model,
        embeddings: vectors.map((vector) =>
          Array.from(shortened(normalized(vector), dimensions)),
        ),
        total_duration: nanoseconds(settings.clock.now() - arrivedMs),
        load_duration: nanoseconds(readyMs - arrivedMs),
        prompt_eval_count: promptTokens,
      };
    }),
  );

  // Not normalized there, and no list.
  app.post("/api/embeddings", (request, reply) =>
    exchanges.run(request, reply, async (exchange) => {
      const { model, prompt } = validate(embeddingsSchema, request.body);
      const isNone = prompt === undefined || prompt === null || prompt === "";
      const order = {
        model: servedName(model),
        prompts: isNone ? [] : [promptOf(prompt)],
        field: "prompt",
        truncates: true,
      };
      const embedded = await embed(order, exchange, reply, service);
      const [vector = new Float32Array()] = embedded.vectors;
      return { embedding: Array.from(vector) };
    }),
  );
}

function promptOf(given: string): Prompt {
  return { kind: "text", text: given };
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}
