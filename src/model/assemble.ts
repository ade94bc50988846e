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
  /** Hash the parts while writing and refuse those that differ from the manifest. Not needed right after `buildManifest`. Default true. */
  verify?: boolean;
}

/**
 * Returns the file's size. The bytes depend only on the model and the range. Throws MODEL_SHARDS (no such range), SHARD_FOREIGN (the source
 * is not the manifest's model), DISK_FULL, FILE_UNWRITABLE; then there is no new file, and an older one is unchanged.
 */
export async function assembleShard(options: AssembleOptions): Promise<number> {
  const { source, manifest, range, signal } = options;
  const { verify = true } = options;
  checkRange(manifest, range);
  checkSource(source, manifest);
  await using reader = new PartReader(source, signal);
  if (verify) {
    const part = partById(manifest, "metadata");
    for await (const _ of checked(reader, part, source));
  }
  const layout = shardLayout(manifest, source.metadata, range);
  return await writeShard(layout, options, (segment) => {
    const part = partById(manifest, segment.part);
    // The file has only the tensors of the metadata part, which was verified above.
    const chunks =
      verify && part.id !== "metadata"
        ? checked(reader, part, source)
        : reader.tensors(part.tensors);
    return { chunks };
  });
}

/** A cheap check before anything is read: number and sizes of the files match the manifest. */
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
      throw foreign(source, `its ${part.id} differs from the manifest's`);
  });
}

function foreign(source: GgufModel, reason: string): ShoalError {
  const path = source.files[0]?.path ?? "";
  return new ShoalError("SHARD_FOREIGN", `${basename(path)}: ${reason}`, {
    path,
  });
}
