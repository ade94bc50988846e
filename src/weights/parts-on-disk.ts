/** Which layers of a model a node could load without fetching anything: what it has in its shards, its folders and its spare copies. */
import { ON_DISK_RANGES } from "../cluster/index.ts";
import { type Manifest, partById } from "../model/index.ts";
import { type Root, toRoot } from "../store/index.ts";
import type { SharedFiles } from "./shared-files.ts";

/** Half-open layer ranges, ascending. A shard within one of them has all of its parts here. */
export type LayersOnDisk = [layerStart: number, layerEnd: number][];

/** Those of the files that are shared now; each answer is kept until they change, because it is asked for at every announcement. */
export class DiskLayers {
  readonly #files: Pick<SharedFiles, "holds" | "onChange">;
  readonly #known = new Map<Manifest, LayersOnDisk>();
  #unsubscribe: (() => void) | undefined;

  constructor(files: Pick<SharedFiles, "holds" | "onChange">) {
    this.#files = files;
  }

  of(manifest: Manifest): LayersOnDisk {
    this.#unsubscribe ??= this.#files.onChange(() => this.#known.clear());
    const known = this.#known.get(manifest);
    if (known !== undefined) return known;
    const found = layersOnDisk(manifest, (root) => this.#files.holds(root));
    this.#known.set(manifest, found);
    return found;
  }

  stop(): void {
    this.#unsubscribe?.();
  }
}

/** Pure. */
export function layersOnDisk(
  manifest: Manifest,
  holds: (root: Root) => boolean,
): LayersOnDisk {
  const has = (id: string): boolean =>
    holds(toRoot(partById(manifest, id).root));
  const isHere = (layer: number): boolean =>
    has(`layer.${layer}`) &&
    edgeParts(manifest, layer).every((part) => has(part));
  const ranges: LayersOnDisk = [];
  for (let layer = 0; layer < manifest.layerCount; layer++) {
    if (!isHere(layer)) continue;
    const last = ranges.at(-1);
    if (last?.[1] === layer) last[1] = layer + 1;
    else ranges.push([layer, layer + 1]);
  }
  if (ranges.length <= ON_DISK_RANGES) return ranges;
  return ranges
    .toSorted(([a, b], [c, d]) => d - c - (b - a))
    .slice(0, ON_DISK_RANGES)
    .toSorted(([a], [b]) => a - b);
}

/** What a shard with this layer needs besides layers, as `partsOf` has it. */
function edgeParts(
  { layerCount, tied }: Pick<Manifest, "layerCount" | "tied">,
  layer: number,
): string[] {
  const isLast = layer === layerCount - 1;
  return [
    ...(layer === 0 || (isLast && tied) ? ["embedding"] : []),
    ...(isLast ? ["output"] : []),
  ];
}
