/** Models as Anthropic's clients list them (https://platform.claude.com/docs/en/api/models). */
import type { ModelInfo } from "@anthropic-ai/sdk/resources";
import type { FastifyRequest } from "fastify";
import type { ServedModel } from "../../inference/index.ts";

/** Both APIs have GET /v1/models. Only Anthropic's clients send a version. */
export const isAnthropic = ({ headers }: FastifyRequest): boolean =>
  headers["anthropic-version"] !== undefined;

/** There is one page: nothing is before or after it. */
export function modelPage(models: readonly ServedModel[]): object {
  const data = models.map(modelInfo);
  return {
    data,
    has_more: false,
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

export function modelInfo({
  id,
  createdMs,
  contextLength,
}: ServedModel): ModelInfo {
  return {
    type: "model",
    id,
    display_name: id,
    created_at: new Date(createdMs).toISOString(),
    max_input_tokens: contextLength,
    max_tokens: contextLength,
    lifecycle: "active",
    deprecated_at: null,
    retires_at: null,
    line: null,
    capabilities: null,
  };
}
