/**
 * The metadata of a tiny model of each architecture: small numbers that llama.cpp accepts and that use what the architecture has. One common
 * set holds every key that some architecture requires (llama.cpp ignores the others); beside it stands what an architecture wants otherwise.
 */
import type { GgufValue } from "../../../src/gguf/index.ts";

/** The sizes that the key-values are made of. */
export interface Sizes {
  layers: number;
  width: number;
  heads: number;
  kvHeads: number;
  forward: number;
  vocabulary: number;
  experts: number;
}

/** A number (uint32), a fraction (float32), a truth value or one value a layer. */
type Value =
  number | { float: number } | boolean | Value[] | { floats: number[] };
/** After `<architecture>.`; undefined leaves a key of the common set out. */
export type Keys = Readonly<Record<string, Value | undefined>>;

interface Special {
  sizes?: Partial<Sizes>;
  /** Has experts where that is a choice. */
  mixture?: boolean;
  keys?: (sizes: Sizes) => Keys;
  /** Tensors that a file may have or not: `*` stands for each layer, `+` for each that keeps a state instead of attending. */
  optional?: readonly string[];
}

const CONTEXT = 256;
const DEFAULT: Sizes = {
  layers: 8,
  width: 256,
  heads: 2,
  kvHeads: 2,
  forward: 384,
  vocabulary: 128,
  experts: 2,
};

const MIXTURE: Special = { mixture: true };
const each = ({ layers }: Sizes, value: (layer: number) => number): number[] =>
  Array.from({ length: layers }, (_, layer) => value(layer));
/** Every second layer attends, the others keep a state. */
const hybridHeads = (sizes: Sizes): Keys => ({
  "attention.head_count_kv": each(sizes, (i) =>
    i % 2 === 1 ? 0 : sizes.heads,
  ),
});
const everySecondSlides = (sizes: Sizes): Keys => ({
  "attention.sliding_window_pattern": each(sizes, (i) => i % 2),
});
/** Keys and values compressed together (MLA). */
const COMPRESSED: Keys = {
  "attention.key_length": 576,
  "attention.value_length": 512,
  "rope.dimension_count": 64,
  "attention.key_length_mla": 192,
  "attention.value_length_mla": 128,
};
const SMALL = { width: 128, heads: 1, kvHeads: 1, forward: 192 } as const;
const compressed = (keys: (sizes: Sizes) => Keys = () => ({})): Special => ({
  mixture: true,
  sizes: SMALL,
  keys: (sizes) => ({ ...COMPRESSED, ...keys(sizes) }),
});
const LINEAR: Special = {
  keys: () => ({ "ssm.inner_size": 256 }),
  optional: ["blk.+.attn_qkv.weight", "blk.+.attn_gate.weight"],
};
const ROWS = { "hyper_connection.count": 4 } as const;

/** Recurrent, attention and feed-forward layers in turn. */
const NEMOTRON: Special = {
  keys: (sizes) => ({
    "attention.head_count_kv": each(sizes, (i) =>
      i % 3 === 1 ? sizes.heads : 0,
    ),
    feed_forward_length: each(sizes, (i) => (i % 3 < 2 ? 0 : sizes.forward)),
  }),
  optional: ["blk.*.ssm_conv1d.bias"],
};

const SPECIAL: Readonly<Record<string, Special>> = {
  afmoe: { mixture: true, sizes: { heads: 4, kvHeads: 2, layers: 12 } },
  apertus: {},
  arctic: MIXTURE,
  bailingmoe: MIXTURE,
  bailingmoe2: MIXTURE,
  bailingmoe3: compressed((sizes) => ({
    ...hybridHeads(sizes),
    "kda.safe_gate": undefined,
    swiglu_clamp_exp: { floats: each(sizes, (i) => (i % 2 ? 4 : 0)) },
    swiglu_clamp_shexp: { floats: each(sizes, (i) => (i % 2 ? 5 : 0)) },
  })),
  codeshell: { optional: ["token_embd.weight"] },
  cohere2moe: { mixture: true, keys: everySecondSlides },
  dbrx: MIXTURE,
  deepseek: MIXTURE,
  deepseek2: compressed(),
  "deepseek2-ocr": { mixture: true, sizes: SMALL },
  deepseek32: compressed(),
  deepseek4: {
    mixture: true,
    sizes: { width: 512, heads: 8, kvHeads: 1, forward: 512 },
    keys: (sizes) => ({
      ...ROWS,
      "attention.key_length": sizes.width / sizes.heads,
      "attention.value_length": sizes.width / sizes.heads,
      "rope.dimension_count": sizes.width / sizes.heads / 2,
      "attention.q_lora_rank": 64,
      "attention.output_group_count": 8,
      "attention.output_lora_rank": 32,
      "attention.compress_ratios": each(sizes, (i) =>
        i < 2 ? 0 : i % 2 ? 128 : 4,
      ),
      "attention.compress_rope_freq_base": { float: 160_000 },
      "hyper_connection.sinkhorn_iterations": 2,
      "hyper_connection.epsilon": { float: 1e-6 },
      hash_layer_count: 0,
      swiglu_clamp_exp: { float: 10 },
      expert_weights_scale: { float: 1 },
      expert_weights_norm: true,
      expert_gating_func: 4,
    }),
  },
  dots1: MIXTURE,
  dots3note: compressed((sizes) => ({
    ...everySecondSlides(sizes),
    "attention.kv_lora_rank_swa": 512,
    "attention.key_length_swa": 576,
    "attention.value_length_swa": 512,
    "attention.key_length_mla_swa": 192,
    "attention.value_length_mla_swa": 128,
    "rope.freq_base_swa": { float: 10_000 },
    "attention.indexer.types": each(sizes, (i) => (i % 2 ? 0 : 1)),
  })),
  "ernie4_5-moe": {
    mixture: true,
    keys: () => ({ interleave_moe_layer_step: 1 }),
  },
  "exaone-moe": MIXTURE,
  "falcon-h1": {
    optional: ["blk.*.ssm_norm.weight", "blk.*.ssm_conv1d.bias"],
  },
  gemma4: {
    sizes: { width: 128, forward: 192, layers: 10 },
    keys: (sizes) => ({
      "attention.key_length_swa": sizes.width / sizes.heads,
      "attention.value_length_swa": sizes.width / sizes.heads,
      "rope.freq_base_swa": { float: 10_000 },
      "attention.shared_kv_layers": 0,
      embedding_length_per_layer_input: 0,
      "attention.sliding_window_pattern": each(sizes, (i) =>
        i % 5 < 4 ? 1 : 0,
      ),
    }),
  },
  "glm-dsa": {
    ...compressed(),
    optional: [
      "blk.*.indexer.k_norm.weight",
      "blk.*.indexer.k_norm.bias",
      "blk.*.indexer.proj.weight",
      "blk.*.indexer.attn_k.weight",
      "blk.*.indexer.attn_q_b.weight",
    ],
  },
  glm4moe: MIXTURE,
  "gpt-oss": MIXTURE,
  granite_swa: { keys: everySecondSlides },
  granitehybrid: { keys: hybridHeads, optional: ["blk.*.ssm_conv1d.bias"] },
  granitemoe: MIXTURE,
  grok: MIXTURE,
  grovemoe: MIXTURE,
  "hunyuan-moe": MIXTURE,
  hy_v3: MIXTURE,
  hy_v4: compressed((sizes) => ({
    ...ROWS,
    "hyper_connection.epsilon": { float: 1e-6 },
    "hyper_connection.magnitude": { float: 2 },
    swiglu_clamp_exp: { float: 10 },
    expert_weights_scale: { float: 1 },
    expert_weights_norm: true,
    "attention.indexer.types": each(sizes, (i) => (i % 2 ? 0 : 1)),
  })),
  jamba: { keys: hybridHeads },
  "kimi-linear": compressed(hybridHeads),
  laguna: { mixture: true, sizes: { width: 160 } },
  lfm2: { keys: hybridHeads },
  lfm2moe: { mixture: true, keys: hybridHeads },
  llama4: { mixture: true, sizes: { layers: 12 } },
  maple: {
    mixture: true,
    keys: (sizes) => ({
      ...everySecondSlides(sizes),
      swiglu_clamp_exp: { float: 7 },
    }),
  },
  mellum: MIXTURE,
  mimo2: { mixture: true, keys: everySecondSlides },
  "minimax-m2": MIXTURE,
  "minimax-m3": {
    mixture: true,
    keys: ({ heads }) => ({
      "rope.dimension_count": 64,
      "attention.indexer.head_count": heads,
    }),
  },
  mistral4: compressed(),
  "muse-glimmer": {
    sizes: { heads: 4, kvHeads: 2 },
    keys: everySecondSlides,
  },
  nemotron_h: NEMOTRON,
  nemotron_h_moe: {
    ...NEMOTRON,
    mixture: true,
    keys: (sizes) => ({
      ...NEMOTRON.keys?.(sizes),
      moe_latent_size: undefined,
    }),
  },
  olmoe: MIXTURE,
  phi3: { optional: ["blk.*.attn_qkv.weight"] },
  phimoe: MIXTURE,
  plamo2: {
    keys: (sizes) => ({ ...hybridHeads(sizes), "ssm.group_count": 0 }),
  },
  qwen2moe: MIXTURE,
  qwen3: { sizes: { heads: 4, kvHeads: 1 } },
  qwen35: LINEAR,
  qwen35moe: { ...LINEAR, mixture: true },
  qwen3moe: MIXTURE,
  qwen3next: { ...LINEAR, mixture: true },
  qwen3vlmoe: MIXTURE,
  rwkv6qwen2: {
    keys: ({ width, heads }) => ({
      time_mix_extra_dim: 64,
      time_decay_extra_dim: 128,
      token_shift_count: 1,
      rescale_every_n_layers: 0,
      "wkv.head_size": width / heads,
    }),
    optional: ["blk.*.time_mix_lerp_fused.weight"],
  },
  // A shard may not have 4 layers, and borders are at multiples of 4.
  smallthinker: { mixture: true, sizes: { layers: 16 } },
  smollm3: { sizes: { layers: 12 } },
  spark2_5: { keys: everySecondSlides },
  step35: {
    mixture: true,
    sizes: { width: 160 },
    keys: (sizes) => ({
      ...everySecondSlides(sizes),
      swiglu_clamp_exp: { floats: each(sizes, (i) => (i % 2 ? 4 : 0)) },
      swiglu_clamp_shexp: { floats: each(sizes, (i) => (i % 3 ? 5 : 0)) },
    }),
  },
};

function commonKeys(sizes: Sizes, isMixture: boolean): Keys {
  const { width, heads, kvHeads, forward, experts } = sizes;
  return {
    vocab_size: sizes.vocabulary,
    context_length: CONTEXT,
    embedding_length: width,
    features_length: width,
    block_count: sizes.layers,
    leading_dense_block_count: 1,
    feed_forward_length: forward,
    use_parallel_residual: false,
    logit_scale: { float: 1 },
    embedding_scale: { float: 12 },
    residual_scale: { float: 3.5565588200778455 },
    full_attention_interval: 2,
    "attention.head_count": heads,
    "attention.head_count_kv": kvHeads,
    "attention.max_alibi_bias": { float: 8 },
    "attention.clamp_kqv": { float: 1 },
    "attention.layer_norm_epsilon": { float: 1e-5 },
    "attention.layer_norm_rms_epsilon": { float: 1e-5 },
    "attention.group_norm_epsilon": { float: 1e-5 },
    "attention.group_norm_groups": 8,
    "attention.q_lora_rank": 512,
    "attention.kv_lora_rank": 512,
    "attention.relative_buckets_count": 8,
    // Shorter than the prompt, so that sliding attention differs from full.
    "attention.sliding_window": 16,
    "attention.sliding_window_pattern": 2,
    "attention.indexer.head_count": 64,
    "attention.indexer.key_length": 128,
    "attention.indexer.top_k": 131_072,
    "attention.indexer.block_size": 4,
    "attention.indexer.local_blocks": 1,
    "rope.dimension_sections": Array<number>(4).fill(width / heads / 4),
    "ssm.inner_size": 2 * width,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 128,
    "ssm.time_step_rank": heads,
    "ssm.group_count": 2,
    "kda.head_dim": 128,
    "kda.safe_gate": true,
    "kda.gate_lower_bound": { float: -5 },
    "shortconv.l_cache": 3,
    ...(isMixture && {
      expert_feed_forward_length: forward,
      expert_shared_feed_forward_length: forward / 2,
      expert_latent_length: forward,
      moe_latent_size: forward,
      interleave_moe_layer_step: 2,
      expert_count: experts,
      expert_used_count: 2,
      expert_shared_count: 1,
      expert_gating_func: 2,
      expert_group_scale: { float: 1 },
      experts_per_group: 1,
    }),
  };
}

const NO_TOKENIZER: ReadonlyMap<string, GgufValue> = new Map([
  ["tokenizer.ggml.model", { type: "string", value: "no_vocab" }],
]);

export interface Settings {
  sizes: Sizes;
  metadata: Map<string, GgufValue>;
  /** Names of optional tensors that the file has. */
  optional: string[];
}

export interface TinyOptions {
  layers?: number;
  sizes?: Partial<Sizes>;
  /** Beside, or instead of, those of the architecture. */
  keys?: Keys;
  /** Without output.weight: the head is the embedding table. */
  tied?: boolean;
  /** Tensors beside those of the architecture: `*` stands for each layer. */
  optional?: readonly string[];
  /** One more layer, like the last, that only predicts further tokens. */
  predicts?: boolean;
  /** Instead of the bare vocabulary. */
  tokenizer?: ReadonlyMap<string, GgufValue>;
}

export function settingsOf(
  architecture: string,
  options: TinyOptions = {},
): Settings {
  const special = SPECIAL[architecture] ?? {};
  const sizes = { ...DEFAULT, ...special.sizes, ...options.sizes };
  sizes.layers = options.layers ?? sizes.layers;
  const keys = {
    ...commonKeys(sizes, special.mixture === true),
    ...special.keys?.(sizes),
    ...options.keys,
  };
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", { type: "string", value: architecture }],
    ["general.name", { type: "string", value: "Random weights" }],
  ]);
  for (const [key, value] of Object.entries(keys)) {
    if (value !== undefined)
      metadata.set(`${architecture}.${key}`, valueOf(value));
  }
  // The activation of Apertus has a setting a layer, under names of its own.
  for (const [key, first, step] of [
    ["alpha_n", 1, 1 / 16],
    ["alpha_p", 1, -1 / 32],
    ["beta", 0.5, 1 / 8],
    ["eps", 1e-7, 0],
  ] as const)
    metadata.set(
      `xielu.${key}`,
      valueOf({ floats: each(sizes, (i) => first + i * step) }),
    );
  for (const [key, value] of options.tokenizer ?? NO_TOKENIZER)
    metadata.set(key, value);
  const interval = Number(keys.full_attention_interval);
  const keepsState = (layer: number): boolean => (layer + 1) % interval !== 0;
  const names = [...(special.optional ?? []), ...(options.optional ?? [])];
  const optional = names.flatMap((name) => {
    if (!/[*+]/.test(name)) return [name];
    const layers = each(sizes, (i) => i);
    const those = name.includes("+") ? layers.filter(keepsState) : layers;
    return those.map((layer) => name.replace(/[*+]/, String(layer)));
  });
  const head = options.tied === true ? [] : ["output.weight"];
  return { sizes, metadata, optional: [...head, ...optional] };
}

function valueOf(value: Value): GgufValue {
  if (typeof value === "number") return { type: "uint32", value };
  if (typeof value === "boolean") return { type: "bool", value };
  if (Array.isArray(value)) {
    const numbers = Uint32Array.from(value as number[]);
    return { type: "array", element: "uint32", value: numbers };
  }
  if ("floats" in value) {
    const numbers = Float32Array.from(value.floats);
    return { type: "array", element: "float32", value: numbers };
  }
  return { type: "float32", value: value.float };
}
