/** The manifest of local files. */
import type { GgufModel } from "../gguf/index.ts";
import { describeModel } from "./describe.ts";
import type { Manifest, ManifestPart, ProgressOptions } from "./manifest.ts";
import {
  hashed,
  metadataHeader,
  partDataBytes,
  PartReader,
  tensorsSizeBytes,
} from "./parts.ts";

/** Reads and hashes the whole model once. */
export async function buildManifest(
  model: GgufModel,
  options: ProgressOptions = {},
): Promise<Manifest> {
  const { signal, onProgress } = options;
  const { recipe, parts, ...description } = describeModel(model);
  const sizes = parts.map(({ id, tensors }) =>
    id === "metadata"
      ? metadataHeader(model.metadata, tensors).length +
        tensorsSizeBytes(tensors)
      : partDataBytes(tensors),
  );
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  let doneBytes = 0;
  await using reader = new PartReader(model, signal);
  const hashedParts: ManifestPart[] = [];
  for (const [i, part] of parts.entries()) {
    let root = new Uint8Array();
    const chunks = hashed(reader.part(part), (digest) => {
      root = new Uint8Array(digest);
    });
    for await (const chunk of chunks) {
      doneBytes += chunk.length;
      onProgress?.({ doneBytes, totalBytes });
    }
    hashedParts.push({ ...part, sizeBytes: sizes[i] ?? 0, root });
  }
  return {
    version: 2,
    ...description,
    architecture: recipe.name,
    files: model.files.map(({ sizeBytes }) => ({ sizeBytes })),
    parts: hashedParts,
  };
}
