/** llama-server's own API (tools/server/README.md of ggml-org/llama.cpp), for programs that were written for it. What is OpenAI's there is OpenAI's here. */
import type { FastifyInstance } from "fastify";
import { ShoalError } from "../../lib/index.ts";
import { answerRoute } from "../answer.ts";
import type { Kind } from "../api.ts";
import { DATA_EVENTS } from "../event-stream.ts";
import type { Exchanges } from "../exchange.ts";
import type { GatewaySettings } from "../options.ts";
import type { Replies } from "../replies.ts";
import { embeddingAnswer } from "./embedding.ts";
import { llamaErrors } from "./errors.ts";
import { parseCompletion, parseInfill } from "./fields.ts";
import { infoRoutes } from "./server-info.ts";
import { completionShape } from "./shapes.ts";
import { vocabularyRoutes } from "./vocabulary.ts";

const form = {
  shape: completionShape,
  stream: DATA_EVENTS,
  errors: llamaErrors,
};
const COMPLETION: Kind = { parse: parseCompletion, ...form };
const INFILL: Kind = { parse: parseInfill, ...form };

const REFUSED = [
  ["/rerank", "the model served here writes text: it does not rank"],
  ["/reranking", "the model served here writes text: it does not rank"],
  ["/v1/rerank", "the model served here writes text: it does not rank"],
  ["/v1/reranking", "the model served here writes text: it does not rank"],
  ["/lora-adapters", "the model is served as it is, without adapters"],
  ["/props", "properties are read only here"],
  [
    "/slots/*",
    "sessions are kept by the machines that compute them, and not saved by slot",
  ],
] as const;

/** What llama-server answers without a version before it; the rest of its paths are other APIs'. */
export const LLAMA_PATHS: readonly string[] = [
  "/completion",
  "/completions",
  "/embedding",
  "/infill",
  "/tokenize",
  "/detokenize",
  "/apply-template",
  "/metrics",
  "/slots",
  ...REFUSED.map(([url]) => url.replace("/*", "")),
];

export function llamaRoutes(
  app: FastifyInstance,
  settings: GatewaySettings,
  exchanges: Exchanges,
  replies: Replies,
): void {
  const service = { settings, exchanges, replies };
  answerRoute(app, "/completion", COMPLETION, service);
  answerRoute(app, "/completions", COMPLETION, service);
  answerRoute(app, "/infill", INFILL, service);
  app.post("/embedding", (request, reply) =>
    exchanges.run(request, reply, (exchange) =>
      embeddingAnswer(request.body, exchange, reply, service),
    ),
  );
  vocabularyRoutes(app, service);
  infoRoutes(app, service);
  for (const [url, why] of REFUSED)
    app.post(url, () => {
      throw new ShoalError("API_UNSUPPORTED", why);
    });
}
