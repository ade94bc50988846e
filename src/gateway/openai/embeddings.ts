/**
 * POST /v1/embeddings, in OpenAI's form (https://platform.openai.com/docs/api-reference/embeddings). A body with `content` instead of `input` is
 * llama-server's, and so is its answer.
 */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { ServedModel } from "../../inference/index.ts";
import type { Service } from "../answer.ts";
import type { ParseContext } from "../api.ts";
import { embed, MAX_INPUTS } from "../embeddings.ts";
import { embeddingAnswer, hasContent } from "../llama/embedding.ts";
import { promptsOf } from "../llama/prompts.ts";
import type { Prompt } from "../prompt.ts";
import { invalid } from "../validate.ts";
import { base64Of, EUCLIDEAN, normalized, shortened } from "../vectors.ts";
import { parseBody, text, wholeNumber } from "./common-fields.ts";

/** No model's vectors are longer. */
const MAX_DIMENSIONS = 65_536;
/** Powers above overflow a double. */
const MAX_NORM = 100;

const schema = z.object({
  model: text("must be the name of a model").nullish(),
  input: z.unknown().optional(),
  encoding_format: z
    .enum(["float", "base64"], { error: 'must be "float" or "base64"' })
    .nullish(),
  dimensions: wholeNumber(1, MAX_DIMENSIONS).nullish(),
  /** As llama.cpp's server has it. */
  embd_normalize: wholeNumber(-1, MAX_NORM).nullish(),
});

export interface EmbeddingRequest {
  model: string | undefined;
  prompts: readonly Prompt[];
  isBase64: boolean;
  dimensions: number | undefined;
  norm: number;
}

/** Throws REQUEST_INVALID and PARAMETER_UNSUPPORTED. */
export function parseEmbedding(
  body: unknown,
  context: ParseContext,
): EmbeddingRequest {
  const fields = parseBody(schema, body, context);
  if (fields.input === undefined || fields.input === null)
    throw invalid("input", "is missing");
  return {
    model: fields.model ?? undefined,
    prompts: promptsOf(fields.input, "input", MAX_INPUTS),
    isBase64: fields.encoding_format === "base64",
    dimensions: fields.dimensions ?? undefined,
    norm: fields.embd_normalize ?? EUCLIDEAN,
  };
}

function checkFits(
  { dimensions = 0 }: EmbeddingRequest,
  { facts }: ServedModel,
): void {
  const { embeddingLength: most } = facts;
  if (dimensions > most)
    throw invalid(
      "dimensions",
      `must be at most ${most}, as many as the model gives`,
    );
}

export function embeddingRoute(app: FastifyInstance, service: Service): void {
  const { exchanges, settings } = service;
  app.post("/v1/embeddings", (request, reply) =>
    exchanges.run(request, reply, async (exchange) => {
      if (hasContent(request.body))
        return await embeddingAnswer(request.body, exchange, reply, service);
      const asked = parseEmbedding(request.body, settings.parsing);
      const { isBase64, dimensions, norm } = asked;
      const check = (model: ServedModel): void => checkFits(asked, model);
      const order = { ...asked, field: "input", truncates: false, check };
      const embedded = await embed(order, exchange, reply, service);
      const { model, vectors, promptTokens } = embedded;
      return {
        object: "list",
        model,
        data: vectors.map((vector, index) => {
          const given = shortened(normalized(vector, norm), dimensions);
          const embedding = isBase64 ? base64Of(given) : Array.from(given);
          return { object: "embedding", index, embedding };
        }),
        usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
      };
    }),
  );
}
