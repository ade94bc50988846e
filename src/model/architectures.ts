/**
 * What Shoal knows about each model family: its tensors, where they go when a model is cut, and its metadata per layer. The data is taken
 * from llama.cpp v0.5.0 (`load_arch_tensors` and `load_arch_hparams` in src/models/<family>.cpp, the scales of every matrix in
 * `llama_model_base::load_tensors`). A family is listed when a random-weight model of it gives bit-identical logits cut and whole.
 */

export interface ArchitectureRules {
  /** `general.architecture`. */
  name: string;
  /** Of each group one alternative must be complete. Names are those after `blk.<n>.` */
  layer: {
    groups: readonly Alternatives[];
    optional: readonly string[];
  };
  /** In addition to `output_norm.weight` and, unless it is tied, `output.weight`. */
  outputOptional: readonly string[];
  /** Small tensors that every layer reads and every shard needs. */
  shared: readonly string[];
  /**
   * Keys after `<name>.` that may have one value per layer. In all these families llama.cpp uses the first layer's value for all layers. An
   * array with different values cannot be cut, because a shard has another first layer, and is refused.
   */
  perLayerKeys: readonly string[];
  /** The graph's name for the output of layer `index`, which a stage passes on. */
  boundary: (index: number) => string;
}

/** Sets of tensor names, one of which must be complete. */
type Alternatives = readonly (readonly string[])[];

/** Fused or separate (`create_tensor_qkv`); the biases are optional in every family. */
const ATTENTION: Alternatives = [
  ["attn_qkv.weight"],
  ["attn_q.weight", "attn_k.weight", "attn_v.weight"],
];
const ATTENTION_BIASES = [
  "attn_qkv.bias",
  "attn_q.bias",
  "attn_k.bias",
  "attn_v.bias",
];
const NORMS: Alternatives = [
  ["attn_norm.weight", "ffn_norm.weight", "attn_output.weight"],
];
const HEAD_NORMS: Alternatives = [["attn_q_norm.weight", "attn_k_norm.weight"]];
const DENSE = ["ffn_gate.weight", "ffn_down.weight", "ffn_up.weight"];
const EXPERTS = [
  "ffn_gate_inp.weight",
  "ffn_down_exps.weight",
  "ffn_up_exps.weight",
];
const LONG_ROPE = ["rope_factors_long.weight", "rope_factors_short.weight"];

const PER_LAYER_KEYS = [
  "feed_forward_length",
  "attention.head_count",
  "attention.head_count_kv",
  "expert_used_count",
];

const COMMON = {
  outputOptional: [],
  shared: [],
  perLayerKeys: PER_LAYER_KEYS,
  boundary: (index: number): string => `l_out-${index}`,
} as const;

/**
 * Left out on purpose: `output.scale` and `output.input_scale` of an NVFP4 head. The last shard's head is its token_embd.weight, and
 * llama.cpp asserts that a tied NVFP4 head has no scales; such a model is refused as having an unknown tensor.
 */
export const ARCHITECTURES: readonly ArchitectureRules[] = [
  {
    ...COMMON,
    // Also Mistral and Mixtral.
    name: "llama",
    layer: {
      groups: [NORMS, ATTENTION, [DENSE, EXPERTS]],
      optional: [
        ...ATTENTION_BIASES,
        "attn_output.bias",
        "ffn_gate.bias",
        "ffn_down.bias",
        "ffn_up.bias",
        "ffn_gate_exps.weight",
      ],
    },
    shared: ["rope_freqs.weight", ...LONG_ROPE],
  },
  {
    ...COMMON,
    name: "qwen2",
    layer: { groups: [NORMS, ATTENTION, [DENSE]], optional: ATTENTION_BIASES },
    outputOptional: ["output.bias"],
  },
  {
    ...COMMON,
    name: "qwen3",
    layer: {
      groups: [NORMS, HEAD_NORMS, ATTENTION, [DENSE]],
      optional: ATTENTION_BIASES,
    },
  },
  {
    ...COMMON,
    name: "qwen3moe",
    layer: {
      groups: [
        NORMS,
        HEAD_NORMS,
        ATTENTION,
        [[...EXPERTS, "ffn_gate_exps.weight"]],
      ],
      optional: ATTENTION_BIASES,
    },
    perLayerKeys: [...PER_LAYER_KEYS, "expert_feed_forward_length"],
  },
  {
    ...COMMON,
    // Gate and up are one matrix. `attention.sliding_window` needs no rule: llama.cpp reads it and switches the window off.
    name: "phi3",
    layer: {
      groups: [NORMS, ATTENTION, [["ffn_down.weight", "ffn_up.weight"]]],
      optional: ATTENTION_BIASES,
    },
    shared: LONG_ROPE,
  },
];

export function rulesOf(architecture: string): ArchitectureRules | undefined {
  return ARCHITECTURES.find(({ name }) => name === architecture);
}

/** Where a tensor belongs: a part's id; undefined if the family has no such tensor. */
export function partOf(
  rules: ArchitectureRules,
  tensor: string,
): string | undefined {
  if (tensor === "token_embd.weight") return "embedding";
  if (tensor === "output_norm.weight" || tensor === "output.weight")
    return "output";
  if (rules.outputOptional.includes(tensor)) return "output";
  if (rules.shared.includes(tensor)) return "metadata";
  const match = LAYER_TENSOR.exec(tensor);
  const [, index = "", name = ""] = match ?? [];
  return match !== null && isLayerTensor(rules, name)
    ? layerPart(Number(index))
    : undefined;
}

export function layerPart(index: number): string {
  return `layer.${index}`;
}

/** `blk.7.attn_q.weight` under another number; a tensor of no layer keeps its name. */
export function renumber(tensor: string, by: number): string {
  const [, index, name = ""] = LAYER_TENSOR.exec(tensor) ?? [];
  return index === undefined ? tensor : `blk.${Number(index) + by}.${name}`;
}

/** The first tensor that a layer with these names (after `blk.<n>.`) lacks. */
export function missingOfLayer(
  rules: ArchitectureRules,
  names: ReadonlySet<string>,
): string | undefined {
  for (const alternatives of rules.layer.groups) {
    const missing = alternatives.map((set) =>
      set.find((name) => !names.has(name)),
    );
    // Reports the alternative that is partly present, if there is one.
    const begun = alternatives.findIndex((set) =>
      set.some((name) => names.has(name)),
    );
    if (!missing.includes(undefined)) return missing[Math.max(begun, 0)];
  }
  return undefined;
}

// Without leading zeros: each name has one number.
const LAYER_TENSOR = /^blk\.(0|[1-9]\d{0,3})\.(.+)$/;

function isLayerTensor(rules: ArchitectureRules, name: string): boolean {
  const { groups, optional } = rules.layer;
  const isWeight = (weight: string): boolean =>
    groups.some((sets) => sets.some((set) => set.includes(weight))) ||
    optional.includes(weight);
  if (isWeight(name)) return true;
  // Every matrix may have its own scales (NVFP4).
  const scaled = /^(.+)\.(?:scale|input_scale)$/.exec(name)?.[1];
  return (
    scaled !== undefined &&
    !scaled.endsWith("norm") &&
    scaled !== "ffn_gate_inp" &&
    isWeight(`${scaled}.weight`)
  );
}
