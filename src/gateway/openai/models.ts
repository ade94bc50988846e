/** GET /v1/models, GET /v1/models/:id, GET /health. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Backend, ServedModel } from "../../inference/index.ts";
import { isAnthropic, modelInfo, modelPage } from "../anthropic/models.ts";
import { knownModel, noModel, servedModels } from "../serving.ts";
import { openaiErrors } from "./errors.ts";

/** They need no key. The second is llama-server's other name of the first. */
export const HEALTH_ROUTES: readonly string[] = ["/health", "/v1/health"];

export function modelRoutes(app: FastifyInstance, backend: Backend): void {
  app.get("/v1/models", (request) => {
    const models = servedModels(request.caller.sees(backend));
    return isAnthropic(request)
      ? modelPage(models)
      : { object: "list", data: models.map(describe) };
  });

  // A wildcard, because names may contain a slash and not all clients escape it.
  app.get<{ Params: { "*": string } }>("/v1/models/*", (request) => {
    const seen = request.caller.sees(backend);
    const model = knownModel(seen, request.params["*"]);
    return isAnthropic(request) ? modelInfo(model) : describe(model);
  });

  const health = (
    request: FastifyRequest,
    reply: FastifyReply,
  ): FastifyReply => {
    const reason =
      backend.notReady() ??
      (backend.model() === undefined ? noModel() : undefined);
    if (reason === undefined) return reply.send({ status: "ok" });
    const { status, headers, body } = openaiErrors(reason, request.id);
    const { missingShards, missingLayers } = reason.details;
    return reply.code(status).headers(headers).send({
      status: "unavailable",
      reason: body.error.message,
      code: body.error.code,
      missing_shards: missingShards,
      missing_layers: missingLayers,
    });
  };
  for (const url of HEALTH_ROUTES) app.get(url, health);
}

/** OpenAI's fields, then Shoal's. */
function describe(model: ServedModel): object {
  return {
    id: model.id,
    object: "model",
    created: Math.floor(model.createdMs / 1000),
    owned_by: "shoal",
    manifest_id: model.manifestId,
    context_length: model.contextLength,
  };
}
