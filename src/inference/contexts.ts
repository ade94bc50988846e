/** Which holders may form a route for so many tokens. Pure. */
import type { Announcement } from "../cluster/index.ts";
import type { Manifest } from "../model/index.ts";

type Holder = Pick<Announcement, "layerStart" | "layerEnd" | "contextLength">;

/**
 * llama.cpp chooses the factors of such a model's rope by the context (llama_model::get_rope_factors), so all stages of a route need the
 * same one. Of all others a route has the least context of its stages.
 */
export function needsOneContext({ parts }: Pick<Manifest, "parts">): boolean {
  return parts.some(({ tensors }) =>
    tensors.some(({ name }) => name.includes("rope_factors_")),
  );
}

/** The holders that a session of `tokens` may pass through: groups, the first that covers every layer counts. */
export function holdersFor<H extends Holder>(
  holders: readonly H[],
  tokens: number,
  isOneContext: boolean,
): H[][] {
  const longEnough = holders.filter((a) => a.contextLength >= tokens);
  if (!isOneContext) return [longEnough];
  return [...Map.groupBy(longEnough, (a) => a.contextLength)]
    .sort(([a], [b]) => b - a)
    .map(([, group]) => group);
}

/** The most tokens that a session may have along some route; 0 where there is none. */
export function longestContext(
  holders: readonly Holder[],
  layerCount: number,
  isOneContext: boolean,
): number {
  const lengths = [...new Set(holders.map((a) => a.contextLength))];
  const fits = (tokens: number): boolean =>
    holdersFor(holders, tokens, isOneContext).some((group) =>
      covers(
        isOneContext ? group.filter((a) => a.contextLength === tokens) : group,
        layerCount,
      ),
    );
  return lengths.sort((a, b) => b - a).find(fits) ?? 0;
}

/** Whether whole ranges chain from the first layer to the last. */
function covers(ranges: readonly Holder[], layerCount: number): boolean {
  const reached = new Set([0]);
  for (const { layerStart, layerEnd } of ranges.toSorted(
    (a, b) => a.layerStart - b.layerStart,
  ))
    if (reached.has(layerStart)) reached.add(layerEnd);
  return reached.has(layerCount);
}
