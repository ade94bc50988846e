/** What computed each layer of a reply: elsewhere, on another kind of engine, the last bits differ. Pure. */
import { type Announcement, engineKind } from "../cluster/index.ts";
import type { RouteStage } from "./route.ts";

type Computing = Pick<
  Announcement,
  "peer" | "layerStart" | "layerEnd" | "engine"
>;

/** Of each layer of a route the kind of engine; undefined where its holder does not say. */
export function kindsOf(
  route: readonly Pick<RouteStage, "peer" | "layerStart" | "layerEnd">[],
  holders: readonly Computing[],
): (string | undefined)[] {
  return route.flatMap(({ peer, layerStart, layerEnd }) => {
    const holder = holders.find(
      (one) =>
        one.peer === peer &&
        one.layerStart === layerStart &&
        one.layerEnd === layerEnd,
    );
    const engine = holder?.engine;
    const kind = engine === undefined ? undefined : engineKind(engine);
    return Array.from({ length: layerEnd - layerStart }, () => kind);
  });
}

/** The first layer that is known to be computed by another kind: "llama.cpp v0.5.0 on CPU AVX2 instead of …". */
export function otherKind(
  before: readonly (string | undefined)[],
  after: readonly (string | undefined)[],
): string | undefined {
  for (const [layer, kind] of after.entries()) {
    const was = before[layer];
    if (was !== undefined && kind !== undefined && was !== kind)
      return `${kind} instead of ${was}`;
  }
  return undefined;
}
