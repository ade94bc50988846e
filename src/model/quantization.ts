/** How a model's weights are stored, in one word. */
import { uintOf, type GgufModel } from "../gguf/index.ts";

/**
 * `general.file_type`: `enum llama_ftype` of llama.cpp v0.5.0 (include/llama.h). It says more than the types do: Q4_K_M mixes Q4_K and
 * Q6_K.
 */
const FILE_TYPES: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  7: "Q8_0",
  8: "Q5_0",
  9: "Q5_1",
  10: "Q2_K",
  11: "Q3_K_S",
  12: "Q3_K_M",
  13: "Q3_K_L",
  14: "Q4_K_S",
  15: "Q4_K_M",
  16: "Q5_K_S",
  17: "Q5_K_M",
  18: "Q6_K",
  19: "IQ2_XXS",
  20: "IQ2_XS",
  21: "Q2_K_S",
  22: "IQ3_XS",
  23: "IQ3_XXS",
  24: "IQ1_S",
  25: "IQ4_NL",
  26: "IQ3_S",
  27: "IQ3_M",
  28: "IQ2_S",
  29: "IQ2_M",
  30: "IQ4_XS",
  31: "IQ1_M",
  32: "BF16",
  36: "TQ1_0",
  37: "TQ2_0",
  38: "MXFP4",
  39: "NVFP4",
  40: "Q1_0",
  41: "Q2_0",
};

/** What the file says, else the type of most of its bytes. */
export function quantizationOf(model: GgufModel): string {
  const declared =
    FILE_TYPES[uintOf(model.metadata, "general.file_type") ?? -1];
  if (declared !== undefined) return declared;
  const bytes = new Map<string, number>();
  for (const { type, sizeBytes } of model.tensors)
    bytes.set(type, (bytes.get(type) ?? 0) + sizeBytes);
  const [most] = [...bytes].toSorted((a, b) => b[1] - a[1]);
  return most?.[0] ?? "F32";
}
