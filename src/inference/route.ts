/** A route as it travels: which peers compute which layers of a session, in order. `src/routing` chooses it. */
import { z } from "zod";

export const RouteStage = z.object({
  peer: z.string().max(128),
  /** Half-open layer range. */
  layerStart: z.number().int().min(0).max(65_535),
  layerEnd: z.number().int().min(1).max(65_536),
  /** Where the previous stage can dial it. */
  addresses: z.array(z.string().max(512)).max(16),
});
export type RouteStage = z.infer<typeof RouteStage>;

/** "layers 4-7", both ends included, as people count. */
export function layersOf(range: {
  layerStart: number;
  layerEnd: number;
}): string {
  const last = range.layerEnd - 1;
  return last === range.layerStart
    ? `layer ${last}`
    : `layers ${range.layerStart}-${last}`;
}
