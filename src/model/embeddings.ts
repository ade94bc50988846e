/**
 * Whether a model makes embeddings: one vector of a text, pooled from its tokens' as its metadata say (`<architecture>.pooling_type`, which is
 * `enum llama_pooling_type` of include/llama.h). Only the last token's is served: the last stage has it when the prompt has passed, however
 * the prompt was cut. A mean is over all tokens of one graph, and the first token's knows nothing of the others.
 */
import { type GgufMetadata, uintOf } from "../gguf/index.ts";
import type { Recipe } from "./recipes/index.ts";

const NONE = 0;
const LAST = 3;

/** `refused`: it is made for embeddings, but for none that are served. */
export type EmbeddingKind = "none" | "last" | "refused";

export function embeddingKind(
  recipe: Pick<Recipe, "name" | "embeds">,
  metadata: GgufMetadata,
): EmbeddingKind {
  const pooling = uintOf(metadata, `${recipe.name}.pooling_type`) ?? NONE;
  const causal = metadata.get(`${recipe.name}.attention.causal`)?.value;
  if (causal === false) return "refused";
  if (pooling === NONE) return "none";
  return pooling === LAST && recipe.embeds === true ? "last" : "refused";
}
