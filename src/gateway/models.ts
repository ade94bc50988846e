/** GET /v1/models, GET /v1/models/:id, GET /health. */
import type { FastifyInstance } from "fastify";
import { ShoalError } from "../lib/index.ts";
import type { Arrival, Backend, ServedModel } from "../inference/index.ts";
import { httpError } from "./http-error.ts";

export function modelRoutes(app: FastifyInstance, backend: Backend): void {
  app.get("/v1/models", () => {
    const model = backend.model();
    return {
      object: "list",
      data: model === undefined ? [] : [describe(model)],
    };
  });

  // A wildcard, because names may contain a slash and not all clients escape it.
  app.get<{ Params: { "*": string } }>("/v1/models/*", (request) =>
    describe(knownModel(backend, request.params["*"])),
  );

  app.get("/health", (request, reply) => {
    const reason =
      backend.notReady() ??
      (backend.model() === undefined ? noModel() : undefined);
    if (reason === undefined) return reply.send({ status: "ok" });
    const { status, headers, body } = httpError(reason, request.id);
    const { missingShards, missingLayers } = reason.details;
    return reply.code(status).headers(headers).send({
      status: "unavailable",
      reason: body.error.message,
      code: body.error.code,
      missing_shards: missingShards,
      missing_layers: missingLayers,
    });
  });
}

/** The model of that name, even if it cannot answer now. Throws MODEL_UNKNOWN; SWARM_NOT_READY while none is known. */
function knownModel(backend: Backend, name: string): ServedModel {
  const model = backend.model();
  if (model === undefined) throw backend.notReady() ?? noModel();
  checkName(model, name);
  return model;
}

/** The same, able to answer: waits for it, as long as the backend does. Without a name, whichever there is. */
export async function readyModel(
  backend: Backend,
  name: string | undefined,
  arrival: Arrival,
): Promise<ServedModel> {
  return await backend.whenReady(() => {
    const model = backend.model();
    if (model !== undefined && name !== undefined) checkName(model, name);
    return backend.notReady() ?? model ?? noModel();
  }, arrival);
}

function checkName(model: ServedModel, name: string): void {
  if (name === model.id || name === model.manifestId) return;
  const message = `no model ${JSON.stringify(name.slice(0, 128))} is served here; this gateway serves ${JSON.stringify(model.id)}`;
  throw new ShoalError("MODEL_UNKNOWN", message, { param: "model" });
}

function noModel(): ShoalError {
  return new ShoalError(
    "SWARM_NOT_READY",
    "no model is known yet: no node has joined",
    { waitingFor: "a node to join" },
  );
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
