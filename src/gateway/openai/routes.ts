/** OpenAI's API: chat, completions, embeddings, models (https://platform.openai.com/docs/api-reference). */
import type { FastifyInstance } from "fastify";
import { answerRoute } from "../answer.ts";
import type { Kind } from "../api.ts";
import { DATA_EVENTS } from "../event-stream.ts";
import type { Exchanges } from "../exchange.ts";
import type { GatewaySettings } from "../options.ts";
import type { Replies } from "../replies.ts";
import { openaiErrors } from "./errors.ts";
import { type ChatOrder, parseChat } from "./chat.ts";
import { type CompletionOrder, parseCompletion } from "./completion.ts";
import { embeddingRoute } from "./embeddings.ts";
import { modelRoutes } from "./models.ts";
import { chatShape } from "./chat-shape.ts";
import { completionShape } from "./completion-shape.ts";

const form = { stream: DATA_EVENTS, errors: openaiErrors };
const CHAT: Kind<ChatOrder> = { parse: parseChat, shape: chatShape, ...form };
const COMPLETION: Kind<CompletionOrder> = {
  parse: parseCompletion,
  shape: completionShape,
  ...form,
};

export function openaiRoutes(
  app: FastifyInstance,
  settings: GatewaySettings,
  exchanges: Exchanges,
  replies: Replies,
): void {
  const service = { settings, exchanges, replies };
  answerRoute(app, "/v1/chat/completions", CHAT, service);
  answerRoute(app, "/v1/completions", COMPLETION, service);
  embeddingRoute(app, service);
  modelRoutes(app, settings.backend);
}
