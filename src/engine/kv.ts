/** How keys and values are kept. */
export type KvType = "f16" | "bf16" | "q8_0";

export const KV_TYPES: readonly KvType[] = ["f16", "bf16", "q8_0"];

/** `enum ggml_type` (ggml.h). */
export const GGML_KV_TYPE: Readonly<Record<KvType, number>> = {
  f16: 1,
  bf16: 30,
  q8_0: 8,
};
