/** What is certified: a tiny model of each architecture that is served, and again with each setting that its source treats specially. */
import { SERVED } from "../../../src/model/index.ts";
import type { TinyOptions } from "./settings.ts";

export interface CertificateCase extends TinyOptions {
  architecture: string;
  /** What is special about it. */
  variant?: string;
}

const NO_WINDOW = {
  variant: "without a sliding window",
  keys: { "attention.sliding_window": undefined },
} as const;
/** As most files have it: llama.cpp's own pattern. */
const OWN_PATTERN = {
  variant: "with the pattern of its architecture",
  keys: { "attention.sliding_window_pattern": undefined },
} as const;

const SPECIAL: readonly CertificateCase[] = [
  {
    architecture: "llama",
    variant: "with experts",
    keys: { expert_count: 2, expert_used_count: 2 },
  },
  {
    // Told by its number of layers; without q_lora.
    architecture: "deepseek2",
    variant: "as V2 Lite",
    layers: 27,
    keys: {
      "attention.q_lora_rank": undefined,
      expert_gating_func: undefined,
    },
  },
  {
    architecture: "deepseek2",
    variant: "as V2 Lite, with another count",
    layers: 26,
    keys: { "attention.q_lora_rank": undefined },
  },
  ...["gemma2", "gemma3", "plamo3", "gpt-oss", "laguna", "mellum"].map(
    (architecture) => ({ architecture, layers: 9, ...OWN_PATTERN }),
  ),
  ...["cohere2", "exaone4", "exaone-moe", "olmo2", "muse-glimmer"].map(
    (architecture) => ({ architecture, layers: 12, ...OWN_PATTERN }),
  ),
  ...["olmo2", "exaone4", "llama4"].map((architecture) => ({
    architecture,
    ...NO_WINDOW,
  })),
  ...["qwen3next", "qwen35", "qwen35moe"].map((architecture) => ({
    architecture,
    variant: "whose every fourth layer attends",
    layers: 12,
    keys: { full_attention_interval: 4 },
  })),
  {
    architecture: "deepseek4",
    variant: "whose first layers read the token ids",
    keys: { hash_layer_count: 2 },
    optional: [
      "blk.0.ffn_gate_tid2eid.weight",
      "blk.1.ffn_gate_tid2eid.weight",
      "blk.*.exp_probs_b_vl.bias",
    ],
  },
  {
    architecture: "nemotron_h_moe",
    variant: "whose layers use different numbers of experts",
    keys: { expert_used_count: [0, 0, 2, 0, 0, 1, 0, 0] },
  },
  ...["glm4", "glm4moe", "hunyuan_vl", "ernie4_5", "ernie4_5-moe"].map(
    (architecture) => ({
      architecture,
      variant: "without positions of pictures",
      keys: { "rope.dimension_sections": undefined },
    }),
  ),
  // Most are; these two have nothing behind their layers then.
  ...["lfm2", "olmo", "llama", "gemma2", "cohere2", "granite"].map(
    (architecture) => ({
      architecture,
      variant: "with a tied head",
      tied: true,
    }),
  ),
  {
    architecture: "minicpm",
    variant: "without scales",
    keys: {
      residual_scale: undefined,
      embedding_scale: undefined,
      logit_scale: undefined,
    },
  },
  {
    architecture: "glm-dsa",
    variant: "whose layers share indexers",
    keys: { "attention.indexer.types": [1, 0, 0, 1, 0, 1, 1, 0] },
  },
  {
    architecture: "granite_swa",
    variant: "with layers without RoPE",
    keys: { "attention.rope_pattern": [1, 0, 1, 1, 0, 0, 1, 0] },
  },
  ...["granite", "granite_swa"].map((architecture) => ({
    architecture,
    variant: "with layers that take pictures",
    // -1, no picture, as a uint32.
    keys: {
      deepstack_mapping: [-1, -1, 1, -1, 2, -1, -1, 3].map((i) => i >>> 0),
    },
  })),
  ...["glm4moe", "exaone4", "qwen35", "mimo2"].map((architecture) => ({
    architecture,
    variant: "with a layer that predicts further tokens",
    predicts: true,
  })),
  ...["qwen3vl", "qwen3vlmoe"].map((architecture) => ({
    architecture,
    variant: "with layers that take pictures",
    keys: { n_deepstack_layers: 3 },
  })),
];

export const CASES: readonly CertificateCase[] = [
  ...SERVED.map(({ name }) => ({ architecture: name })),
  ...SPECIAL,
];

export function caseName({ architecture, variant }: CertificateCase): string {
  return variant === undefined ? architecture : `${architecture} ${variant}`;
}
