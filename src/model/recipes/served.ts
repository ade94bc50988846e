/** The architectures that are served. Each is exact against the whole model: test/integration/certificates.test.ts. */
import { recipe, type Recipe } from "./recipe.ts";

/** llama.cpp v0.4.0 takes a pattern for sliding layers where a shard has one value a layer, or does not know the architecture. */
const SINCE_5 = { since: "0.5.0" } as const;
const OWN_HEAD = { ownHead: true } as const;
const EMBEDDING_SCALE = { embeddingScale: true } as const;
const TOKENS = { takesTokens: true, inject: "embd" } as const;
const GRANITE = {
  ...EMBEDDING_SCALE,
  picturesByLayer: "deepstack_mapping",
} as const;
/** A hybrid whose attention layers have heads, its recurrent layers none. */
const HYBRID = {
  recurrentWithoutHeads: true,
  variesByLayer: true,
  needs: ["recurrent", "attention"],
} as const;
/** A hybrid whose every fourth layer attends. */
const INTERVAL = {
  attentionInterval: 4,
  needs: ["recurrent", "attention"],
} as const;
const sliding = (period: number, fullFirst = false) =>
  ({ hasSliding: true, slidingPeriod: { period, fullFirst } }) as const;
const SLIDING_ARRAY = { hasSliding: true } as const;
const otherScale = (model: string): string =>
  `llama.cpp scales the attention of ${model} by its number of layers, which a shard has not`;

/** DeepSeek V2 lite is told by its number of layers; it has no q_lora. */
const DEEPSEEK2 = {
  refusedLengths: [26, 27],
  writes: [
    { key: "attention.q_lora_rank", value: 0 },
    { key: "expert_gating_func", value: 1 },
  ],
  refusedWithout: [
    {
      key: "expert_gating_func",
      layers: [47, 48],
      reason:
        "llama.cpp guesses it from the number of layers, which a shard has not; convert the model again",
    },
  ],
} as const;

export const SERVED: readonly Recipe[] = [
  recipe("afmoe", "AFM MoE (Arcee Trinity)", {
    ...SINCE_5,
    ...sliding(4),
    inject: "inp_embd_scaled",
    borderStep: [4],
  }),
  recipe("apertus", "Apertus", OWN_HEAD),
  recipe("arcee", "Arcee"),
  recipe("arctic", "Snowflake Arctic"),
  recipe("bailingmoe", "Ling", OWN_HEAD),
  recipe("bailingmoe2", "Ling 2, Ring 2", OWN_HEAD),
  recipe("bailingmoe3", "Ling 3", { ...HYBRID }),
  recipe("bitnet", "BitNet b1.58"),
  recipe("bloom", "BLOOM", { inject: "inp_norm-0" }),
  recipe("chatglm", "ChatGLM 3, GLM 4 9B"),
  recipe("codeshell", "CodeShell", OWN_HEAD),
  recipe("cogvlm", "CogVLM", TOKENS),
  recipe("cohere2", "Command R7B, Command A", {
    ...SINCE_5,
    ...sliding(4),
    needs: ["sliding"],
  }),
  recipe("cohere2moe", "Cohere 2 MoE", {
    ...sliding(4, true),
    needs: ["sliding"],
  }),
  recipe("command-r", "Command R", {
    refusedCounts: [
      {
        from: 64,
        reason:
          "llama.cpp looks for the norms of Command R+ by the number of layers, which a shard has not",
      },
    ],
  }),
  recipe("dbrx", "DBRX", OWN_HEAD),
  recipe("deci", "Nemotron 51B, Llama 3.3 Nemotron Super", {
    variesByLayer: true,
  }),
  recipe("deepseek", "DeepSeek MoE 16B"),
  recipe("deepseek2", "DeepSeek V2, V3 and R1, Kimi K2, GLM 4.7 Flash", {
    ...DEEPSEEK2,
  }),
  recipe("deepseek2-ocr", "DeepSeek OCR"),
  recipe("deepseek32", "DeepSeek V3.2"),
  recipe("deepseek4", "DeepSeek V4", {
    ...OWN_HEAD,
    boundary: "l_last-#",
    boundaryRows: "hyper_connection.count",
    inject: "hc_init",
    takesTokens: true,
    layersOnTokens: "hash_layer_count",
    computesBareLayers: true,
    needs: ["compress4", "compress128"],
  }),
  recipe("dots1", "dots.llm1", OWN_HEAD),
  recipe("dots3note", "dots.note", {
    ...SLIDING_ARRAY,
    variesByLayer: true,
    needs: ["sliding", "full"],
  }),
  recipe("ernie4_5", "ERNIE 4.5"),
  recipe("ernie4_5-moe", "ERNIE 4.5 MoE", {
    borderStep: ["interleave_moe_layer_step"],
  }),
  recipe("exaone", "EXAONE 3"),
  recipe("exaone-moe", "K-EXAONE", {
    ...SINCE_5,
    ...sliding(4),
    ...OWN_HEAD,
    needs: ["sliding"],
  }),
  recipe("exaone4", "EXAONE 4", {
    refusedLengths: [64],
    refusedCounts: [
      {
        layers: 64,
        reason:
          "llama.cpp turns the sliding window on by the number of layers, which a shard has not",
      },
    ],
  }),
  recipe("falcon", "Falcon"),
  recipe("falcon-h1", "Falcon H1"),
  recipe("gemma", "Gemma", { inject: "inp_scaled" }),
  recipe("gemma2", "Gemma 2", {
    ...SINCE_5,
    ...sliding(2),
    inject: "inp_scaled",
    refusedLengths: [46],
    refusedCounts: [{ layers: 46, reason: otherScale("Gemma 2 27B") }],
  }),
  recipe("gemma3", "Gemma 3", {
    ...SINCE_5,
    ...sliding(6),
    scalesRows: true,
    refusedLengths: [62],
    refusedCounts: [{ layers: 62, reason: otherScale("Gemma 3 27B") }],
  }),
  recipe("gemma4", "Gemma 4", {
    ...SLIDING_ARRAY,
    scalesRows: true,
    variesByLayer: true,
    needs: ["sliding", "full"],
    leastLayers: 2,
    refusedKeys: [
      {
        key: "embedding_length_per_layer_input",
        above: 0,
        reason: "every layer reads an embedding of its own",
      },
      {
        key: "attention.shared_kv_layers",
        above: 0,
        reason: "layers share the keys of others",
      },
    ],
  }),
  recipe("glm-dsa", "GLM 5", {
    borderBefore: "indexed",
    refusedWithout: [
      {
        key: "attention.indexer.types",
        fromContext: 1_048_576,
        reason:
          "llama.cpp has them by the layers' numbers in the whole model; convert the model again",
      },
    ],
  }),
  recipe("glm4", "GLM 4, GLM Z1", TOKENS),
  recipe("glm4moe", "GLM 4.5, 4.6 and 4.7", TOKENS),
  recipe("gpt-oss", "gpt-oss", { ...SINCE_5, ...sliding(2), ...OWN_HEAD }),
  recipe("gpt2", "GPT-2", { inject: "inpL" }),
  recipe("gptneox", "GPT-NeoX, Pythia", OWN_HEAD),
  recipe("granite", "Granite 3", GRANITE),
  recipe("granite_swa", "Granite with sliding windows", {
    ...SLIDING_ARRAY,
    ...GRANITE,
    needs: ["rotating"],
  }),
  recipe("granitehybrid", "Granite 4", { ...HYBRID, ...EMBEDDING_SCALE }),
  recipe("granitemoe", "Granite 3 MoE", EMBEDDING_SCALE),
  recipe("grok", "Grok", EMBEDDING_SCALE),
  recipe("grovemoe", "GroveMoE"),
  recipe("hunyuan-dense", "Hunyuan dense"),
  recipe("hunyuan-moe", "Hunyuan A13B"),
  recipe("hunyuan_vl", "Hunyuan VL"),
  recipe("hy_v3", "Hunyuan V3"),
  recipe("hy_v4", "Hunyuan V4", {
    ...SINCE_5,
    ...OWN_HEAD,
    inject: "hc_init",
    boundaryRows: "hyper_connection.count",
    borderBefore: "indexed",
  }),
  recipe("internlm2", "InternLM 2", OWN_HEAD),
  recipe("jais", "Jais", OWN_HEAD),
  recipe("jais2", "Jais 2"),
  recipe("jamba", "Jamba", HYBRID),
  recipe("kimi-linear", "Kimi Linear", { ...HYBRID, ...OWN_HEAD }),
  recipe("laguna", "Laguna", {
    ...SINCE_5,
    ...sliding(4, true),
    variesByLayer: true,
  }),
  recipe("lfm2", "LFM2", HYBRID),
  recipe("lfm2moe", "LFM2 MoE", HYBRID),
  recipe(
    "llama",
    "Llama 1, 2 and 3, Mistral, Mixtral, SmolLM, and many others",
    { embeds: true },
  ),
  recipe("llama4", "Llama 4", {
    ...sliding(4),
    borderStep: [4, "interleave_moe_layer_step"],
    refusedKeys: [
      {
        key: "attention.sliding_window",
        equal: 0,
        reason: "llama.cpp leaves the positions out of its last layer",
      },
    ],
  }),
  recipe("maincoder", "Maincoder"),
  recipe("mamba", "Mamba"),
  recipe("mamba2", "Mamba 2"),
  recipe("maple", "Maple", {
    ...SINCE_5,
    ...SLIDING_ARRAY,
    ...OWN_HEAD,
    needs: ["sliding"],
  }),
  recipe("mellum", "Mellum", { ...SINCE_5, ...sliding(4), ...OWN_HEAD }),
  recipe("mimo2", "MiMo V2", {
    ...SINCE_5,
    ...SLIDING_ARRAY,
    ...OWN_HEAD,
    variesByLayer: true,
  }),
  recipe("minicpm", "MiniCPM", { ...EMBEDDING_SCALE, residualByDepth: 1.4 }),
  recipe("minimax-m2", "MiniMax M2", OWN_HEAD),
  recipe("minimax-m3", "MiniMax M3", { ...OWN_HEAD, needs: ["sparse"] }),
  recipe("mistral3", "Ministral 3, Mistral Large 3"),
  recipe("mistral4", "Mistral 4", DEEPSEEK2),
  recipe("mpt", "MPT"),
  recipe("muse-glimmer", "Muse Glimmer", {
    ...SINCE_5,
    ...sliding(4),
    ...OWN_HEAD,
    inject: "embd_norm",
    needs: ["sliding"],
  }),
  recipe("nanbeige", "Nanbeige", {
    refusedKeys: [
      {
        key: "num_loops",
        above: 1,
        reason: "its layers run several times a token, so no border exists",
      },
    ],
  }),
  recipe("nemotron", "Nemotron, Minitron", OWN_HEAD),
  recipe("nemotron_h", "Nemotron H, Nemotron Nano 2", {
    ...HYBRID,
    boundary: "nemotron_h_block_out-#",
  }),
  recipe("nemotron_h_moe", "Nemotron 3 Nano and Super", {
    ...HYBRID,
    boundary: "nemotron_h_block_out-#",
    needs: ["recurrent", "attention", "experts"],
  }),
  recipe("olmo", "OLMo"),
  recipe("olmo2", "OLMo 2 and 3", { ...SINCE_5, ...sliding(4), ...OWN_HEAD }),
  recipe("olmoe", "OLMoE", OWN_HEAD),
  recipe("openelm", "OpenELM", { variesByLayer: true }),
  recipe("orion", "Orion", OWN_HEAD),
  recipe("paddleocr", "PaddleOCR VL"),
  recipe("pangu-embedded", "openPangu Embedded"),
  recipe("phi2", "Phi 1, 1.5 and 2", OWN_HEAD),
  recipe("phi3", "Phi 3 and 4"),
  recipe("phimoe", "Phi 3.5 MoE", OWN_HEAD),
  recipe("plamo", "PLaMo", OWN_HEAD),
  recipe("plamo2", "PLaMo 2", { ...HYBRID, boundary: "ffn_residual-#" }),
  recipe("plamo3", "PLaMo 3", { ...SINCE_5, ...sliding(8) }),
  recipe("qwen", "Qwen 1", OWN_HEAD),
  recipe("qwen2", "Qwen 1.5, 2 and 2.5, DeepSeek R1 Distill Qwen", {
    embeds: true,
  }),
  recipe("qwen2moe", "Qwen 1.5 MoE, Qwen 2 MoE", OWN_HEAD),
  recipe("qwen2vl", "Qwen 2 VL, Qwen 2.5 VL"),
  recipe("qwen3", "Qwen 3", { embeds: true }),
  recipe("qwen35", "Qwen 3.5", INTERVAL),
  recipe("qwen35moe", "Qwen 3.5 MoE", INTERVAL),
  recipe("qwen3moe", "Qwen 3 MoE, Qwen 3 Coder"),
  recipe("qwen3next", "Qwen 3 Next", INTERVAL),
  recipe("qwen3vl", "Qwen 3 VL"),
  recipe("qwen3vlmoe", "Qwen 3 VL MoE"),
  recipe("refact", "Refact"),
  recipe("rwkv6qwen2", "QRWKV 6", {
    ...OWN_HEAD,
    borderStep: ["rescale_every_n_layers"],
  }),
  recipe("seed_oss", "Seed OSS"),
  recipe("smallthinker", "SmallThinker", {
    ...sliding(4, true),
    borderStep: [4],
    refusedLengths: [4],
  }),
  recipe("smollm3", "SmolLM3", { borderStep: [4] }),
  recipe("spark2_5", "Spark 2.5", { ...SINCE_5, ...SLIDING_ARRAY }),
  recipe("stablelm", "StableLM", OWN_HEAD),
  recipe("starcoder", "StarCoder", { inject: "inpL" }),
  recipe("starcoder2", "StarCoder 2"),
  recipe("step35", "Step 3.5", {
    ...SLIDING_ARRAY,
    ...OWN_HEAD,
    boundary: "h_nextn",
    variesByLayer: true,
  }),
  recipe("xverse", "XVERSE", OWN_HEAD),
];
