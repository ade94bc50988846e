/** OpenAI's API: chat, completions, models (https://platform.openai.com/docs/api-reference). */
import type { FastifyInstance } from "fastify";
import { answerRoute } from "../answer.ts";
import type { Kind } from "../api.ts";
import { DATA_EVENTS } from "../event-stream.ts";
import type { Exchanges } from "../exchange.ts";
import type { GatewaySettings } from "../options.ts";
import type { Replies } from "../replies.ts";
import { openaiErrors } from "./errors.ts";
import { parseChat, parseCompletion } from "./fields.ts";
import { modelRoutes } from "./models.ts";
import { chatShape, completionShape } from "./shapes.ts";

const form = { stream: DATA_EVENTS, errors: openaiErrors };
const CHAT: Kind = { parse: parseChat, shape: chatShape, ...form };
const COMPLETION: Kind = {
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
  modelRoutes(app, settings.backend);
}
