/** What Ollama does with models of its own, and this gateway does not: each answer says what to do instead. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { ShoalError } from "../../lib/index.ts";
import type { GatewaySettings } from "../options.ts";
import { servedModels } from "../serving.ts";
import { invalid, validate } from "../validate.ts";
import { servedName } from "./names.ts";

const REFUSED = [
  [
    "POST",
    "/api/push",
    "models are not pushed from here: `shoal seed MODEL.gguf` shares one with a cluster",
  ],
  [
    "POST",
    "/api/create",
    "models are not created here: `shoal up MODEL.gguf` serves a GGUF file as it is",
  ],
  [
    "POST",
    "/api/copy",
    "models are not copied here: each is served under its own name",
  ],
  [
    "DELETE",
    "/api/delete",
    "models are not deleted here: to serve no longer, stop the cluster's nodes",
  ],
  [
    "POST",
    "/api/blobs/*",
    "files are not uploaded here: `shoal seed MODEL.gguf` shares one with a cluster",
  ],
  [
    "HEAD",
    "/api/blobs/*",
    "files are not uploaded here: `shoal seed MODEL.gguf` shares one with a cluster",
  ],
] as const;

export function refusedRoutes(
  app: FastifyInstance,
  { backend }: GatewaySettings,
): void {
  for (const [method, url, why] of REFUSED) {
    app.route({
      method,
      url,
      handler: () => {
        throw new ShoalError("API_UNSUPPORTED", why);
      },
    });
  }
  // Clients pull what they are about to use: what is served is there.
  app.post("/api/pull", (request) => {
    const { model, name } = validate(pullSchema, request.body);
    const wanted = servedName(model) ?? servedName(name);
    if (wanted === undefined) throw invalid("model", "is missing");
    const served = servedModels(request.caller.sees(backend));
    if (!served.some((one) => [one.id, one.manifestId].includes(wanted))) {
      const what =
        "models are not pulled here: GET /api/tags lists those that are served; `shoal up hf:OWNER/REPO` serves another";
      throw new ShoalError("MODEL_UNKNOWN", what, { param: "model" });
    }
    return { status: "success" };
  });
}

const pullSchema = z.object({
  model: z.string({ error: "must be the name of a model" }).nullish(),
  /** Ollama's older name of the same. */
  name: z.string({ error: "must be the name of a model" }).nullish(),
});
