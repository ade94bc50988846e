/** Writes a GGUF file from key-values, tensors and the sources of their bytes. */
import { ShoalError } from "../lib/index.ts";
import {
  writeAtomically,
  type ByteSource,
  type WriteOptions,
} from "./atomic.ts";
import { encodeHeader, type TensorSpec } from "./encode.ts";
import { tensorSizeBytes } from "./ggml-types.ts";
import type { GgufMetadata } from "./values.ts";

export interface TensorSource extends TensorSpec {
  data: ByteSource;
}

/** Streams data of any size. Returns the file's size. The file exists completely or not at all. */
export async function writeGguf(
  path: string,
  file: { metadata: GgufMetadata; tensors: readonly TensorSource[] },
  options: WriteOptions = {},
): Promise<number> {
  const { header, alignment } = encodeHeader(file);
  return writeAtomically(path, options, async (output) => {
    await output.write(header);
    for (const { name, type, shape, data } of file.tensors) {
      const start = output.position;
      await output.write(data);
      const written = output.position - start;
      const expected = tensorSizeBytes(type, shape);
      if (written !== expected) {
        throw new ShoalError(
          "INTERNAL",
          `tensor ${name} takes ${expected} bytes, got ${written}`,
        );
      }
      await output.pad(alignment);
    }
  });
}
