/** GET /api/tags, /api/ps and /api/version, POST /api/show: the served model as Ollama tells of its own. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { thinks } from "../../chat/index.ts";
import type { ServedModel } from "../../inference/index.ts";
import { VERSION } from "../../lib/index.ts";
import type { GatewaySettings } from "../options.ts";
import { knownModel, readyModels, servedModels } from "../serving.ts";
import { invalid, validate } from "../validate.ts";
import { listedName, servedName } from "./names.ts";

/** Of Ollama's API, as it is answered here. Clients look whether it is new enough for thinking and tools. */
export const OLLAMA_VERSION = "0.12.11";

/** A model stays. Ollama tells such a far time, too, and clients read it as "for ever". */
const NEVER = "2300-01-01T00:00:00Z";

export function modelRoutes(
  app: FastifyInstance,
  { backend }: GatewaySettings,
): void {
  app.get("/api/version", () => ({ version: OLLAMA_VERSION, shoal: VERSION }));
  app.get("/api/tags", ({ caller }) => ({
    models: servedModels(caller.sees(backend)).map(listed),
  }));
  app.get("/api/ps", ({ caller }) => ({
    models: readyModels(caller.sees(backend)).map(running),
  }));
  app.post("/api/show", (request) => {
    const { model, name } = validate(showSchema, request.body);
    const wanted = servedName(model) ?? servedName(name);
    if (wanted === undefined) throw invalid("model", "is missing");
    return shown(knownModel(request.caller.sees(backend), wanted));
  });
}

const showSchema = z.object({
  model: z.string({ error: "must be the name of a model" }).nullish(),
  /** Ollama's older name of the same. */
  name: z.string({ error: "must be the name of a model" }).nullish(),
});

function listed(model: ServedModel): object {
  const name = listedName(model.id);
  const { sizeBytes, digest } = model.facts;
  return {
    name,
    model: name,
    modified_at: new Date(model.createdMs).toISOString(),
    size: sizeBytes,
    digest,
    details: detailsOf(model),
    capabilities: capabilitiesOf(model),
  };
}

/** `size_vram` is 0: the gateway does not know which machine computes on what. */
function running(model: ServedModel): object {
  const name = listedName(model.id);
  const { sizeBytes, digest } = model.facts;
  return {
    name,
    model: name,
    size: sizeBytes,
    digest,
    details: detailsOf(model),
    expires_at: NEVER,
    size_vram: 0,
    context_length: model.contextLength,
  };
}

function shown(model: ServedModel): object {
  const { facts, chatTemplate = "", contextLength } = model;
  return {
    modelfile: `# Served by a Shoal cluster; it cannot be built from this.\nFROM ${model.id}\n`,
    parameters: `num_ctx                        ${contextLength}`,
    template: chatTemplate,
    details: detailsOf(model),
    model_info: {
      "general.architecture": facts.architecture,
      "general.parameter_count": facts.parameterCount,
      [`${facts.architecture}.context_length`]: contextLength,
      [`${facts.architecture}.embedding_length`]: facts.embeddingLength,
      ...withoutContext(facts.metadata, facts.architecture),
    },
    capabilities: capabilitiesOf(model),
    modified_at: new Date(model.createdMs).toISOString(),
  };
}

/** Clients size their prompts by it: they are told what the cluster serves. */
function withoutContext(
  metadata: ServedModel["facts"]["metadata"],
  architecture: string,
): object {
  const { [`${architecture}.context_length`]: _, ...rest } = metadata;
  return rest;
}

function detailsOf({ facts, contextLength }: ServedModel): object {
  return {
    parent_model: "",
    format: "gguf",
    family: facts.architecture,
    families: [facts.architecture],
    parameter_size: humanCount(facts.parameterCount),
    quantization_level: facts.quantization,
    context_length: contextLength,
    embedding_length: facts.embeddingLength,
  };
}

/** What Ollama calls capabilities. */
function capabilitiesOf({
  chatTemplate,
  tokenizer,
  facts,
}: ServedModel): string[] {
  const { prefix, suffix, middle } = tokenizer.infill;
  const fills = [prefix, suffix, middle].every((token) => token !== undefined);
  return [
    "completion",
    ...(facts.embeds ? ["embedding"] : []),
    ...(chatTemplate !== undefined ? ["tools"] : []),
    ...(fills ? ["insert"] : []),
    ...(chatTemplate !== undefined && thinks(chatTemplate) ? ["thinking"] : []),
  ];
}

const UNITS: readonly (readonly [number, string, number])[] = [
  [1e9, "B", 1],
  [1e6, "M", 2],
  [1e3, "K", 0],
];

/** "7.2B", "494.03M", as Ollama writes them (`format.HumanNumber`). */
export function humanCount(count: number): string {
  const [size, letter, digits] = UNITS.find(([least]) => count >= least) ?? [
    1,
    "",
    0,
  ];
  const number = count / size;
  return `${Number.isInteger(number) ? number : number.toFixed(digits)}${letter}`;
}
