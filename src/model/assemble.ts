/** Writes a shard from the original model's files. */
import { basename } from "node:path";
import type { GgufModel } from "../gguf/index.ts";
import { ShoalError } from "../lib/index.ts";
import { shardLayout } from "./layout.ts";
import {
  partById,
  type Manifest,
  type ManifestPart,
  type ProgressOptions,
} from "./manifest.ts";
import { hashed, PartReader } from "./parts.ts";
import { checkRange, type LayerRange } from "./plan.ts";
import { writeShard } from "./write-shard.ts";

export interface AssembleOptions extends ProgressOptions {
  source: GgufModel;
  manifest: Manifest;
  range: LayerRange;
  path: string;
  /** Hash the parts on the way and refuse what is not the manifest's. Unneeded right after `buildManifest`. Default true. */
  verify?: boolean;
}

/**
 * Gives the file's size. The bytes depend on the model and the range alone. Throws MODEL_SHARDS (no such range), SHARD_FOREIGN (the source is
 * not the manifest's model), DISK_FULL, FILE_UNWRITABLE; then there is no file, or the one there was.
 */
export async function assembleShard(options: AssembleOptions): Promise<number> {
  const { source, manifest, range, signal } = options;
  const { verify = true } = options;
  checkRange(manifest.layerCount, range);
  checkSource(source, manifest);
  await using reader = new PartReader(source, signal);
  if (verify) {
    const part = partById(manifest, "metadata");
    for await (const _ of checked(reader, part, source));
  }
  const layout = shardLayout(manifest, source.metadata, range);
  return await writeShard(layout, options, (segment) => {
    const part = partById(manifest, segment.part);
    // Of the metadata part, verified above, only the tensors are in the file.
    const chunks =
      verify && part.id !== "metadata"
        ? checked(reader, part, source)
        : reader.tensors(part.tensors);
    return { chunks };
  });
}

/** Cheap, before anything is read: the files are as many and as long as the manifest says. */
function checkSource(source: GgufModel, manifest: Manifest): void {
  const actual = sizes(source.files);
  const expected = sizes(manifest.files);
  if (actual === expected) return;
  throw foreign(
    source,
    `${actual} bytes, the manifest's model has ${expected}`,
  );
}

function sizes(files: readonly { sizeBytes: number }[]): string {
  return files.map(({ sizeBytes }) => sizeBytes).join(", ");
}

function checked(
  reader: PartReader,
  part: ManifestPart,
  source: GgufModel,
): AsyncGenerator<Uint8Array> {
  return hashed(reader.part(part), (root) => {
    if (Buffer.compare(root, part.root) !== 0)
      throw foreign(source, `its ${part.id} is not that of the manifest`);
  });
}

function foreign(source: GgufModel, reason: string): ShoalError {
  const path = source.files[0]?.path ?? "";
  return new ShoalError("SHARD_FOREIGN", `${basename(path)}: ${reason}`, {
    path,
  });
}
