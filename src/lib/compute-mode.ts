/** How all stages of a session compute: chosen in the cluster's record, so that they agree. */

/** What keys and values are kept as; llama.cpp's names for its types. */
export const KV_TYPES = ["f16", "bf16", "q8_0"] as const;
export type KvType = (typeof KV_TYPES)[number];

/** Whether sessions share a decode: only where no bit changes, wherever it is faster, or never. */
export const BATCH_MODES = ["exact", "fast", "off"] as const;
export type BatchMode = (typeof BATCH_MODES)[number];

export interface ComputeMode {
  kv: KvType;
  batch: BatchMode;
}

/** As far as it is said. */
export interface SaidMode {
  kv?: KvType | undefined;
  batch?: BatchMode | undefined;
}

/** llama.cpp's own defaults, bit for bit. Also of a record or an announcement that says nothing about it. */
export const COMPUTE_MODE_DEFAULTS: Readonly<ComputeMode> = Object.freeze({
  kv: "f16",
  batch: "exact",
});

/** Of a record, an announcement or options: what they leave out is the default. */
export function computeModeOf(said: SaidMode): ComputeMode {
  const { kv, batch } = COMPUTE_MODE_DEFAULTS;
  return { kv: said.kv ?? kv, batch: said.batch ?? batch };
}

export function sameComputeMode(a: ComputeMode, b: ComputeMode): boolean {
  return a.kv === b.kv && a.batch === b.batch;
}

/** As its flags: "--kv f16 --batch exact". */
export function flagsOf({ kv, batch }: ComputeMode): string {
  return `--kv ${kv} --batch ${batch}`;
}
