/** The HTTP server with its routes, not yet listening. */
import { randomUUID } from "node:crypto";
import {
  fastify,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { ShoalError, type EventSink } from "../lib/index.ts";
import { APIS, errorFormOf } from "./apis.ts";
import { answerBareRequests, refuseConnection } from "./connection-errors.ts";
import type { Exchanges } from "./exchange.ts";
import { guard, isForeignPage } from "./guard.ts";
import { fromFastify } from "./http-error.ts";
import { jsonBodies } from "./json-body.ts";
import { ollamaGreeting } from "./ollama/routes.ts";
import { plainPath } from "./paths.ts";
import { Replies } from "./replies.ts";
import {
  HEADERS_TIMEOUT_MS,
  MAX_CONNECTIONS,
  MAX_MODEL_NAME_CHARS,
  REQUEST_TIMEOUT_MS,
  type GatewaySettings,
} from "./options.ts";
import { pageRoutes } from "./page.ts";

/** Which of the gateway's ports. */
export type Door = "main" | "ollama";

export function buildServer(
  settings: GatewaySettings,
  exchanges: Exchanges,
  replies: Replies = new Replies(settings),
  door: Door = "main",
): FastifyInstance {
  const { events, bodyLimitBytes } = settings;
  const sendError = (
    thrown: unknown,
    request: FastifyRequest,
    reply: FastifyReply,
  ): void => {
    if (reply.raw.destroyed) {
      reply.hijack(); // the client is gone: there is nobody to tell
      return;
    }
    const error = fromFastify(thrown, bodyLimitBytes);
    if (error.code === "INTERNAL") reportBug(events, error, request.id);
    const errorForm = errorFormOf(request.routeOptions.url ?? request.url);
    const { status, headers, body } = errorForm(error, request.id);
    void reply.code(status).headers(headers).send(body);
  };

  const app = fastify({
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 5_000,
      requireHostHeader: false, // answered below, in an API's form
    },
    requestTimeout: REQUEST_TIMEOUT_MS,
    bodyLimit: bodyLimitBytes,
    routerOptions: { maxParamLength: MAX_MODEL_NAME_CHARS },
    rewriteUrl: plainPath,
    genReqId: () => randomUUID(),
    return503OnClosing: false, // answered below, in an API's form
    frameworkErrors: sendError,
    clientErrorHandler: refuseConnection,
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  // A client may close its sending side and still read its answer. Node has the option, but its types do not.
  Object.assign(app.server, { httpAllowHalfOpen: true });
  jsonBodies(app, (request) => isForeignPage(settings, request));
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0]?.slice(0, 200) ?? "";
    const message = `${request.method} ${path} is not supported by this gateway`;
    sendError(new ShoalError("NOT_FOUND", message), request, reply);
  });

  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-request-id", request.id);
    if (exchanges.stopping) {
      reply.header("connection", "close");
      throw new ShoalError("SHUTTING_DOWN", "the gateway is stopping");
    }
  });
  answerBareRequests(app);
  guard(app, settings);
  // Not a preflight that is allowed: the guard answers those.
  app.options("*", (_, reply) =>
    reply.code(204).header("allow", "GET, HEAD, POST, OPTIONS").send(),
  );
  for (const { routes } of APIS) routes(app, settings, exchanges, replies);
  if (door === "ollama") ollamaGreeting(app);
  else pageRoutes(app);
  return app;
}

/** An internal error: its kind and its place in the code. Not its message, which may contain what the client sent. */
function reportBug(events: EventSink, error: ShoalError, id: string): void {
  const cause = error.cause instanceof Error ? error.cause : error;
  const place = /\n\s+at (.+)/.exec(cause.stack ?? "")?.[1];
  events.error("API", "a request failed because of an internal error", {
    requestId: id,
    error: cause.name,
    at: place,
  });
}
