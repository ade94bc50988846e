/**
 * Weights that llama.cpp copies for the kernels of a processor: some quantizations, row by row in another order (ggml-cpu/repack.cpp at
 * v0.5.0). Both are in memory then; the mapped ones are not read again, so the system takes their pages back when it needs room.
 */
import type { GgmlTypeName } from "../gguf/index.ts";
import { partsOf } from "./assemble-parts.ts";
import type { Manifest } from "./manifest.ts";
import type { LayerRange } from "./plan.ts";

const COPIED: Readonly<Record<string, readonly GgmlTypeName[]>> = {
  x64: ["Q4_0", "Q4_K", "Q2_K", "IQ4_NL", "MXFP4"],
  // Which of them, depends on the processor: all that some do.
  arm64: ["Q4_0", "Q4_K", "Q2_K", "IQ4_NL", "MXFP4", "Q5_K", "Q6_K", "Q8_0"],
};
/** Rows that such a kernel takes at once. */
const ROWS = 8;

export function copiedBytes(
  manifest: Manifest,
  range: LayerRange,
  processor: string = process.arch,
): number {
  const types = new Set(COPIED[processor] ?? []);
  const isLast = range.layerEnd === manifest.layerCount;
  return partsOf(manifest, range)
    .filter(({ id }) => id !== "embedding" || (isLast && manifest.tied))
    .flatMap(({ tensors }) => tensors)
    .filter(
      ({ type, shape }) =>
        types.has(type) && shape.length > 1 && (shape[1] ?? 0) % ROWS === 0,
    )
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
