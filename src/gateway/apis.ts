/** The APIs that the gateway offers. */
import type { Api, ErrorForm } from "./api.ts";
import { llamaErrors } from "./llama/errors.ts";
import { LLAMA_PATHS, llamaRoutes } from "./llama/routes.ts";
import { ollamaErrors } from "./ollama/errors.ts";
import { ollamaRoutes } from "./ollama/routes.ts";
import { anthropicErrors } from "./anthropic/errors.ts";
import { anthropicRoutes, UNDER } from "./anthropic/routes.ts";
import { openaiErrors } from "./openai/errors.ts";
import { openaiRoutes } from "./openai/routes.ts";
import { responseRoutes } from "./responses/routes.ts";

export const APIS: readonly Api[] = [
  { routes: openaiRoutes, errors: openaiErrors, under: ["/"] },
  { routes: llamaRoutes, errors: llamaErrors, under: LLAMA_PATHS },
  { routes: responseRoutes, errors: openaiErrors, under: [] },
  { routes: ollamaRoutes, errors: ollamaErrors, under: ["/api/"] },
  { routes: anthropicRoutes, errors: anthropicErrors, under: [UNDER] },
];

/** By the path, also one that nobody answers: the API whose beginning is the longest. */
export function errorFormOf(path: string): ErrorForm {
  const [found] = APIS.flatMap(({ under, errors }) =>
    under
      .filter((beginning) => path.startsWith(beginning))
      .map(({ length }) => ({ length, errors })),
  ).sort((a, b) => b.length - a.length);
  return found?.errors ?? openaiErrors;
}
