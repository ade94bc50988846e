/** OpenAI's `system_fingerprint`: what decides the bits of a reply besides the request. */
import { type ComputeMode, VERSION } from "../lib/index.ts";

export interface Computed extends ComputeMode {
  /** CID of the model's manifest. */
  manifest: string;
  /** What the stages compute with, as they announce it: "llama.cpp v0.5.0 on CPU AVX2". */
  engines: readonly (string | undefined)[];
}

/** "shoal-0.1.0_llama.cpp-0.5.0_f16_exact_bafy…"; stages with several versions of llama.cpp name them all. */
export function systemFingerprint(computed: Computed): string {
  const { manifest, engines, kv, batch } = computed;
  const versions = engines.flatMap(
    (engine) => /^llama\.cpp v(\S+)/.exec(engine ?? "")?.[1] ?? [],
  );
  const llama = [...new Set(versions)].sort().join("+") || "unknown";
  return `shoal-${VERSION}_llama.cpp-${llama}_${kv}_${batch}_${manifest}`;
}
