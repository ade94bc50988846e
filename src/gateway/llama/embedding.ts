/** POST /embedding of llama-server (`handle_embeddings_impl`, tools/server/server-context.cpp): a list of vectors, each in a list. */
import type { FastifyReply } from "fastify";
import { z } from "zod";
import type { Service } from "../answer.ts";
import { embed, MAX_INPUTS } from "../embeddings.ts";
import type { Exchange } from "../exchange.ts";
import { invalid, validate } from "../validate.ts";
import { EUCLIDEAN, normalized } from "../vectors.ts";
import { promptsOf } from "./prompts.ts";

const NORM = "must be a whole number between -1 and 100";

const schema = z.object({
  model: z.string({ error: "must be the name of a model" }).nullish(),
  content: z.unknown().optional(),
  input: z.unknown().optional(),
  embd_normalize: z
    .int({ error: NORM })
    .min(-1, { error: NORM })
    .max(100, { error: NORM })
    .nullish(),
});

/** It is of this form, not of OpenAI's. */
export function hasContent(body: unknown): boolean {
  return (
    typeof body === "object" &&
    body !== null &&
    !("input" in body) &&
    "content" in body
  );
}

/** Throws REQUEST_INVALID, and what `embed` throws. */
export async function embeddingAnswer(
  body: unknown,
  exchange: Exchange,
  reply: FastifyReply,
  service: Service,
): Promise<object> {
  const fields = validate(schema, body);
  const { input, content, model } = fields;
  const field = input === undefined ? "content" : "input";
  const given = input ?? content;
  if (given === undefined || given === null) throw invalid(field, "is missing");
  const order = {
    model: model ?? undefined,
    prompts: promptsOf(given, field, MAX_INPUTS),
    field,
    truncates: false,
  };
  const { vectors } = await embed(order, exchange, reply, service);
  const norm = fields.embd_normalize ?? EUCLIDEAN;
  return vectors.map((vector, index) => ({
    index,
    embedding: [Array.from(normalized(vector, norm))],
  }));
}
