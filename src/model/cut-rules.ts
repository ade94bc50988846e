/** Where a model may be cut: its architecture's rules, applied to its metadata. */
import { uintOf, type GgufMetadata } from "../gguf/index.ts";
import { layerNumbers, layersOfKind, numbersOf } from "./per-layer.ts";
import type { CutRules } from "./plan.ts";
import type { Recipe } from "./recipes/index.ts";

export function cutRules(recipe: Recipe, metadata: GgufMetadata): CutRules {
  const { layerCount } = layerNumbers(metadata, recipe.name);
  const { borderStep = [], borderBefore, needs = [], leastLayers = 1 } = recipe;
  const step = borderStep
    .map((of) =>
      typeof of === "number"
        ? of
        : (uintOf(metadata, `${recipe.name}.${of}`) ?? 1),
    )
    .reduce(leastCommonMultiple, 1);
  const onTokens = recipe.layersOnTokens ?? "";
  const first = uintOf(metadata, `${recipe.name}.${onTokens}`) ?? 0;
  const before =
    borderBefore === undefined
      ? []
      : layersOfKind(borderBefore, recipe, metadata);
  // llama.cpp takes the size of all heads from the first layer, which so must have some.
  const heads = numbersOf(metadata, `${recipe.name}.attention.head_count`);
  const borders = Array.from(
    { length: layerCount },
    (_, layer) => layer,
  ).filter(
    (layer) =>
      layer > 0 &&
      layer >= first &&
      layer % step === 0 &&
      (before.length === 0 || before.includes(layer)) &&
      heads?.[layer] !== 0,
  );
  const tooShort = Array.from({ length: leastLayers - 1 }, (_, i) => i + 1);
  return {
    borders,
    needs: needs
      .map((kind) => layersOfKind(kind, recipe, metadata))
      .filter((layers) => layers.length > 0),
    refusedLengths: [...tooShort, ...(recipe.refusedLengths ?? [])].filter(
      (length) => length < layerCount,
    ),
  };
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number =>
    y === 0 ? x : divisor(y, x % y);
  return b === 0 ? a : (a / divisor(a, b)) * b;
}
