/** What a layer costs to compute: the bytes that one token reads. */
import { uintOf, type GgufMetadata, type GgufTensor } from "../gguf/index.ts";
import { numbersOf } from "./per-layer.ts";
import type { Recipe } from "./recipes/index.ts";
import { layerPart } from "./tensor-parts.ts";

/** Of a layer's experts a token reads those that are used; of everything else all. */
export function layerCosts(
  recipe: Recipe,
  metadata: GgufMetadata,
  layerCount: number,
  tensorsOf: ReadonlyMap<string, readonly GgufTensor[]>,
): number[] {
  const key = (suffix: string): string => `${recipe.name}.${suffix}`;
  const experts = uintOf(metadata, key("expert_count")) ?? 0;
  const used = uintOf(metadata, key("expert_used_count"));
  const usedByLayer = numbersOf(metadata, key("expert_used_count"));
  return Array.from({ length: layerCount }, (_, layer) => {
    const read = usedByLayer?.[layer] ?? used ?? experts;
    const share = experts > 0 ? Math.min(1, read / experts) : 1;
    return (tensorsOf.get(layerPart(layer)) ?? []).reduce(
      (sum, { name, sizeBytes }) =>
        sum + (EXPERTS.test(name) ? Math.round(sizeBytes * share) : sizeBytes),
      0,
    );
  });
}

/** Matrices of all experts of a layer. */
const EXPERTS = /_exps\./;
