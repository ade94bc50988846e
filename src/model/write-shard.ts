/** Writes a shard's file from any source of bytes. */
import { dirname } from "node:path";
import { type ByteSource, writeAtomically } from "../gguf/index.ts";
import { checkDiskSpace, ShoalError } from "../lib/index.ts";
import type { ShardLayout, ShardSegment } from "./layout.ts";
import type { ProgressOptions } from "./manifest.ts";

export type PartSegment = Exclude<ShardSegment, { zeros: number }>;

/** Returns the file's size. Throws DISK_FULL, FILE_UNWRITABLE; then there is no new file, and an older one is unchanged. */
export async function writeShard(
  { header, segments, sizeBytes }: ShardLayout,
  { path, signal, onProgress }: ProgressOptions & { path: string },
  sourceOf: (segment: PartSegment) => ByteSource,
): Promise<number> {
  await checkDiskSpace(dirname(path), sizeBytes);
  return await writeAtomically(
    path,
    {
      ...(signal && { signal }),
      onProgress: (doneBytes) =>
        onProgress?.({ doneBytes, totalBytes: sizeBytes }),
    },
    async (output) => {
      await output.write(header);
      for (const segment of segments)
        if ("zeros" in segment) output.skip(segment.zeros);
        else await output.write(sourceOf(segment));
      if (output.position !== sizeBytes) {
        throw new ShoalError(
          "INTERNAL",
          `expected a shard of ${sizeBytes} bytes, wrote ${output.position}`,
        );
      }
    },
  );
}
