/**
 * Ollama's API (https://github.com/ollama/ollama/blob/main/docs/api.md): chat and generate in lines of JSON, and what clients ask before:
 * version, tags, show, ps. The gateway has one model, which is loaded: there is nothing to pull, create or delete.
 */
import type { FastifyInstance } from "fastify";
import { answer, type Service } from "../answer.ts";
import type { Kind } from "../api.ts";
import { JSON_LINES } from "../event-stream.ts";
import type { Exchanges } from "../exchange.ts";
import type { GatewaySettings } from "../options.ts";
import type { Replies } from "../replies.ts";
import { readyModel } from "../serving.ts";
import { embedRoutes } from "./embed.ts";
import { ollamaErrors } from "./errors.ts";
import { parseChat, parseGenerate } from "./fields.ts";
import { loadOf } from "./load.ts";
import { modelRoutes } from "./models.ts";
import { servedName } from "./names.ts";
import { refusedRoutes } from "./refused.ts";
import { chatShape, generateShape, loadedAnswer } from "./shapes.ts";

const form = { stream: JSON_LINES, errors: ollamaErrors };
const CHAT: Kind = { parse: parseChat, shape: chatShape, ...form };
const GENERATE: Kind = { parse: parseGenerate, shape: generateShape, ...form };

export function ollamaRoutes(
  app: FastifyInstance,
  settings: GatewaySettings,
  exchanges: Exchanges,
  replies: Replies,
): void {
  const service = { settings, exchanges, replies };
  modelRoutes(app, settings);
  replyRoute(app, "chat", CHAT, service);
  replyRoute(app, "generate", GENERATE, service);
  embedRoutes(app, service);
  refusedRoutes(app, settings);
}

/** What Ollama says at "/", and clients look for. */
export function ollamaGreeting(app: FastifyInstance): void {
  app.get("/", () => "Ollama is running");
}

function replyRoute(
  app: FastifyInstance,
  name: "chat" | "generate",
  kind: Kind,
  service: Service,
): void {
  const { settings, exchanges } = service;
  app.post(`/api/${name}`, (request, reply) =>
    exchanges.run(request, reply, async (exchange) => {
      const load = loadOf(name, request.body);
      if (load === undefined) {
        const order = kind.parse(request.body, settings.parsing);
        return await answer(kind, order, exchange, reply, service);
      }
      const { id: requestId, arrivedMs, signal } = exchange;
      const arrival = { requestId, arrivedMs, signal };
      const wanted = servedName(load.model);
      const backend = exchange.caller.sees(settings.backend);
      const { id } = await readyModel(backend, wanted, arrival);
      const now = settings.clock.now();
      return loadedAnswer(name, load.model ?? id, load.reason, now);
    }),
  );
}
