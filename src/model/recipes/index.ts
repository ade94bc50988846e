/** Recipes: how the models of each architecture are cut. Data, and nothing of it is known elsewhere. */
import { ShoalError } from "../../lib/index.ts";
import type { Recipe } from "./recipe.ts";
import { REFUSED } from "./refused.ts";
import { SERVED } from "./served.ts";

export type { LayerKind, Recipe } from "./recipe.ts";
export { REFUSED } from "./refused.ts";
export { SERVED } from "./served.ts";

const byName = new Map(SERVED.map((recipe) => [recipe.name, recipe]));

/** Throws MODEL_ARCHITECTURE with the reason why it is not served. `where`: the beginning of the message. */
export function recipeOf(architecture: string, where = ""): Recipe {
  const recipe = byName.get(architecture);
  if (recipe !== undefined) return recipe;
  const name = JSON.stringify(architecture.slice(0, 80)).slice(1, -1);
  const reason = Object.hasOwn(REFUSED, architecture)
    ? `is not supported: ${REFUSED[architecture] ?? ""}`
    : "is not known";
  throw new ShoalError(
    "MODEL_ARCHITECTURE",
    `${where}architecture '${name}' ${reason}`,
    { architecture: name },
  );
}

/** Throws MODEL_ARCHITECTURE if this version of llama.cpp ("0.4.0") does not compute the architecture's shards as the whole model. */
export function refuseOlderEngine(architecture: string, version: string): void {
  const { since } = recipeOf(architecture);
  if (since === undefined) return;
  if (version.localeCompare(since, "en", { numeric: true }) >= 0) return;
  throw new ShoalError(
    "MODEL_ARCHITECTURE",
    `architecture '${architecture}' needs llama.cpp v${since}; this machine's is v${version} (docs/PLATFORMS.md)`,
    { architecture, since, version },
  );
}
