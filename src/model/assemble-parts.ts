/** Writes a shard from its parts, each a separate file, as a node does after downloading them. */
import { readGguf } from "../gguf/index.ts";
import { shardLayout } from "./layout.ts";
import {
  partById,
  type Manifest,
  type ManifestPart,
  type ProgressOptions,
} from "./manifest.ts";
import { checkRange, type LayerRange } from "./plan.ts";
import { layerPart } from "./tensor-parts.ts";
import { writeShard } from "./write-shard.ts";

export interface AssemblePartsOptions extends ProgressOptions {
  manifest: Manifest;
  range: LayerRange;
  /** The file of each part of `partsOf`, with verified bytes. */
  partPath: (id: string) => string;
  path: string;
}

/** The parts that a shard of these layers is made of. */
export function partsOf(
  manifest: Manifest,
  { layerStart, layerEnd }: LayerRange,
): ManifestPart[] {
  checkRange(manifest, { layerStart, layerEnd });
  const isLast = layerEnd === manifest.layerCount;
  const ids = ["metadata"];
  if (layerStart === 0 || (isLast && manifest.tied)) ids.push("embedding");
  for (let layer = layerStart; layer < layerEnd; layer++)
    ids.push(layerPart(layer));
  if (isLast) ids.push("output");
  return ids.map((id) => partById(manifest, id));
}

/** Returns the file's size. The bytes equal those of `assembleShard`. Throws DISK_FULL, FILE_UNWRITABLE; then there is no new file. */
export async function assembleFromParts(
  options: AssemblePartsOptions,
): Promise<number> {
  const { manifest, range, partPath } = options;
  checkRange(manifest, range);
  const { metadata } = await readGguf(partPath("metadata"));
  const layout = shardLayout(manifest, metadata, range);
  return await writeShard(layout, options, (segment) => ({
    path: partPath(segment.part),
    offset: segment.partOffset,
    sizeBytes: segment.sizeBytes,
  }));
}
