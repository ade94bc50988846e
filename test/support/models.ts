/**
 * Random-weight models of every supported architecture: small, seeded, with everything that llama.cpp needs, so that a test can write a
 * model and run it.
 *
 *     await writeRandomModel("model.gguf", { architecture: "qwen3", layers: 4, type: "Q4_K", embeddingLength: 256 });
 */
import { dirname, join } from "node:path";
import {
  openModel,
  writeGguf,
  type GgufValue,
  type TensorSource,
} from "../../src/gguf/index.ts";
import { Random } from "./random.ts";
import { randomFloats, randomWeights, type WeightType } from "./weights.ts";

export type RandomArchitecture =
  "llama" | "llama-moe" | "qwen2" | "qwen3" | "qwen3moe" | "phi3";

export interface RandomModelOptions {
  architecture?: RandomArchitecture;
  layers?: number;
  /** Row length of most matrices: a multiple of 32 for Q8_0 and Q4_0, of 256 for Q4_K and Q6_K; `feedForward` too. */
  embeddingLength?: number;
  heads?: number;
  kvHeads?: number;
  feedForward?: number;
  vocabSize?: number;
  /** Of the matrices; norms, biases, routers and rope factors are F32, as in published files. */
  type?: WeightType;
  /** Without an output.weight: the head is the embedding table. */
  tied?: boolean;
  contextLength?: number;
  seed?: number;
  /** Of the two MoE architectures; 2 are used a token. */
  experts?: number;
  /** "none": token ids only. "bytes": a SentencePiece vocabulary of bytes and filler pieces, at least 259 tokens. */
  vocab?: "none" | "bytes";
  /** rope_freqs.weight, as Llama 3.1 has it. llama and llama-moe only; phi3 always has its long and short factors. */
  ropeFreqs?: boolean;
  /** output.bias. qwen2 only. */
  outputBias?: boolean;
  chatTemplate?: string;
  /** `<architecture>.pooling_type`: 3 is the last token's. */
  pooling?: number;
  /** Written after the ordinary key-values. */
  extraMetadata?: readonly (readonly [string, GgufValue])[];
  /** Called for each tensor: false leaves it out. */
  keepTensor?: (name: string) => boolean;
}

const RANDOM_MODEL_DEFAULTS = Object.freeze({
  architecture: "llama",
  layers: 4,
  embeddingLength: 64,
  heads: 4,
  kvHeads: 2,
  feedForward: 96,
  vocabSize: 320,
  type: "F32",
  tied: false,
  contextLength: 512,
  seed: 1,
  experts: 4,
  vocab: "none",
  ropeFreqs: false,
  outputBias: false,
  chatTemplate: "",
  pooling: 0,
  extraMetadata: [] as readonly (readonly [string, GgufValue])[],
  keepTensor: (): boolean => true,
}) satisfies Required<RandomModelOptions>;

type Settings = Required<RandomModelOptions>;

const EXPERTS_USED = 2;

/** Gives the file's size. */
export function writeRandomModel(
  path: string,
  options: RandomModelOptions = {},
): Promise<number> {
  const settings: Settings = { ...RANDOM_MODEL_DEFAULTS, ...options };
  return writeGguf(path, {
    metadata: new Map(metadataOf(settings)),
    tensors: tensorsOf(settings).filter(({ name }) =>
      settings.keepTensor(name),
    ),
  });
}

function metadataOf(s: Settings): [string, GgufValue][] {
  const arch = s.architecture === "llama-moe" ? "llama" : s.architecture;
  const isMoe = isMixture(s);
  const number = (
    key: string,
    value: number,
    type: "uint32" | "float32" = "uint32",
  ): [string, GgufValue] => [`${arch}.${key}`, { type, value }];
  return [
    ["general.architecture", { type: "string", value: arch }],
    // Not the architecture: llama.cpp looks for tokens of its own in whatever has "phi3" in its name.
    ["general.name", { type: "string", value: "Random weights" }],
    number("context_length", s.contextLength),
    number("embedding_length", s.embeddingLength),
    number("block_count", s.layers),
    number("feed_forward_length", s.feedForward),
    number("attention.head_count", s.heads),
    number("attention.head_count_kv", s.kvHeads),
    number("attention.layer_norm_rms_epsilon", 1e-5, "float32"),
    number("rope.dimension_count", s.embeddingLength / s.heads),
    number("rope.freq_base", 10_000, "float32"),
    ...(isMoe
      ? [
          number("expert_count", s.experts),
          number("expert_used_count", EXPERTS_USED),
        ]
      : []),
    ...(arch === "qwen3moe"
      ? [number("expert_feed_forward_length", s.feedForward)]
      : []),
    ...(arch === "phi3"
      ? [
          number("attention.sliding_window", 2047),
          number("rope.scaling.original_context_length", s.contextLength / 2),
        ]
      : []),
    number("vocab_size", s.vocabSize),
    ...(s.pooling === 0 ? [] : [number("pooling_type", s.pooling)]),
    ...tokenizerOf(s),
    ...s.extraMetadata.map(([k, v]): [string, GgufValue] => [k, v]),
  ];
}

function tokenizerOf(s: Settings): [string, GgufValue][] {
  const template: [string, GgufValue][] =
    s.chatTemplate === ""
      ? []
      : [
          [
            "tokenizer.chat_template",
            { type: "string", value: s.chatTemplate },
          ],
        ];
  if (s.vocab === "none") {
    return [
      ["tokenizer.ggml.model", { type: "string", value: "no_vocab" }],
      ...template,
    ];
  }
  return [...byteTokenizer(s.vocabSize), ...template];
}

/** A SentencePiece vocabulary of bytes and filler pieces, at least 259 tokens. */
export function byteTokenizer(vocabSize: number): [string, GgufValue][] {
  const byteTokens = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const tokens = ["<unk>", "<s>", "</s>", ...byteTokens];
  for (let i = 0; tokens.length < vocabSize; i++) tokens.push(piece(i));
  if (tokens.length > vocabSize)
    throw new Error(`vocab "bytes" needs a vocabSize of ${tokens.length}`);
  // llama.cpp's token types: 1 normal, 2 unknown, 3 control, 6 byte.
  const types = tokens.map((_, i) =>
    i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1,
  );
  const scores = tokens.map((_, i) => (i < 259 ? 0 : 258 - i));
  return [
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    [
      "tokenizer.ggml.tokens",
      { type: "array", element: "string", value: tokens },
    ],
    [
      "tokenizer.ggml.scores",
      { type: "array", element: "float32", value: Float32Array.from(scores) },
    ],
    [
      "tokenizer.ggml.token_type",
      { type: "array", element: "int32", value: Int32Array.from(types) },
    ],
    ["tokenizer.ggml.bos_token_id", { type: "uint32", value: 1 }],
    ["tokenizer.ggml.eos_token_id", { type: "uint32", value: 2 }],
    ["tokenizer.ggml.unknown_token_id", { type: "uint32", value: 0 }],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
  ];
}

/** Filler: letters, then pairs and longer, each also with SentencePiece's word mark before it. */
function piece(index: number): string {
  let letters = "";
  for (let n = Math.floor(index / 2); n >= 0; n = Math.floor(n / 26) - 1)
    letters = String.fromCharCode(97 + (n % 26)) + letters;
  return index % 2 === 0 ? letters : `▁${letters}`;
}

function isMixture(s: Settings): boolean {
  return s.architecture === "llama-moe" || s.architecture === "qwen3moe";
}

function tensorsOf(s: Settings): TensorSource[] {
  const d = s.embeddingLength;
  const isPhi = s.architecture === "phi3";
  const hasRopeFreqs = s.ropeFreqs && s.architecture.startsWith("llama");
  const ropeLength = d / s.heads / 2;
  const factors = (name: string, center: number): TensorSource =>
    floats(s, name, [ropeLength], center, 0.5);
  return [
    ...(hasRopeFreqs ? [factors("rope_freqs.weight", 2)] : []),
    ...(isPhi
      ? [
          factors("rope_factors_long.weight", 3),
          factors("rope_factors_short.weight", 1.5),
        ]
      : []),
    matrix(s, "token_embd.weight", [d, s.vocabSize], 0.1),
    ...Array.from({ length: s.layers }, (_, i) => layer(s, `blk.${i}.`)).flat(),
    norm(s, "output_norm.weight", d),
    ...(s.tied ? [] : [matrix(s, "output.weight", [d, s.vocabSize])]),
    ...(s.outputBias && s.architecture === "qwen2"
      ? [floats(s, "output.bias", [s.vocabSize], 0, 1)]
      : []),
  ];
}

function layer(s: Settings, prefix: string): TensorSource[] {
  const d = s.embeddingLength;
  const head = d / s.heads;
  const kv = head * s.kvHeads;
  const isQwen3 = s.architecture === "qwen3" || s.architecture === "qwen3moe";
  const weight = (name: string, shape: readonly number[]): TensorSource =>
    matrix(s, `${prefix}${name}.weight`, shape);
  const normal = (name: string, length: number): TensorSource =>
    norm(s, `${prefix}${name}.weight`, length);
  const bias = (name: string, length: number): TensorSource =>
    floats(s, `${prefix}${name}.bias`, [length], 0, 0.1);
  return [
    normal("attn_norm", d),
    ...(s.architecture === "phi3"
      ? [weight("attn_qkv", [d, d + 2 * kv])]
      : [
          weight("attn_q", [d, d]),
          weight("attn_k", [d, kv]),
          weight("attn_v", [d, kv]),
        ]),
    ...(s.architecture === "qwen2"
      ? [bias("attn_q", d), bias("attn_k", kv), bias("attn_v", kv)]
      : []),
    ...(isQwen3
      ? [normal("attn_q_norm", head), normal("attn_k_norm", head)]
      : []),
    weight("attn_output", [d, d]),
    normal("ffn_norm", d),
    ...feedForward(s, prefix, weight),
  ];
}

function feedForward(
  s: Settings,
  prefix: string,
  weight: (name: string, shape: readonly number[]) => TensorSource,
): TensorSource[] {
  const { embeddingLength: d, feedForward: f, experts } = s;
  if (isMixture(s)) {
    return [
      floats(s, `${prefix}ffn_gate_inp.weight`, [d, experts], 0, 0.3),
      weight("ffn_gate_exps", [d, f, experts]),
      weight("ffn_down_exps", [f, d, experts]),
      weight("ffn_up_exps", [d, f, experts]),
    ];
  }
  // phi3 keeps gate and up in one matrix.
  return s.architecture === "phi3"
    ? [weight("ffn_down", [f, d]), weight("ffn_up", [d, 2 * f])]
    : [
        weight("ffn_gate", [d, f]),
        weight("ffn_down", [f, d]),
        weight("ffn_up", [d, f]),
      ];
}

/** Keeps the size of what it multiplies: variance 1 / row length. */
function matrix(
  s: Settings,
  name: string,
  shape: readonly number[],
  deviation = 1 / Math.sqrt(shape[0] ?? 1),
): TensorSource {
  const elements = shape.reduce((product, n) => product * n, 1);
  const random = new Random(s.seed, name);
  return {
    name,
    type: s.type,
    shape,
    data: { chunks: randomWeights(s.type, elements, deviation, random) },
  };
}

function norm(s: Settings, name: string, length: number): TensorSource {
  return floats(s, name, [length], 1, 0.1);
}

function floats(
  s: Settings,
  name: string,
  shape: readonly number[],
  center: number,
  spread: number,
): TensorSource {
  const elements = shape.reduce((product, n) => product * n, 1);
  return {
    name,
    type: "F32",
    shape,
    data: randomFloats(elements, center, spread, new Random(s.seed, name)),
  };
}

/** The same model in three files beside it, its tensors dealt out in order, so that a layer lies in two. Gives their paths. */
export async function inThreeFiles(path: string): Promise<string[]> {
  const { metadata, tensors } = await openModel(path);
  const third = Math.ceil(tensors.length / 3);
  const paths = [1, 2, 3].map((i) =>
    join(dirname(path), `many-0000${i}-of-00003.gguf`),
  );
  for (const [i, part] of paths.entries()) {
    await writeGguf(part, {
      metadata: new Map([
        ...(i === 0 ? metadata : []),
        ["split.no", { type: "uint16", value: i }],
        ["split.count", { type: "uint16", value: 3 }],
        ["split.tensors.count", { type: "int32", value: tensors.length }],
      ]),
      tensors: tensors
        .slice(i * third, (i + 1) * third)
        .map(({ name, type, shape, offset, sizeBytes }) => ({
          name,
          type,
          shape,
          data: { path, offset, sizeBytes },
        })),
    });
  }
  return paths;
}

/** The same model with another chat template, in `copy`. */
export async function withTemplate(
  path: string,
  template: string,
  copy: string,
): Promise<void> {
  const { metadata, tensors } = await openModel(path);
  const named = { type: "string" as const, value: template };
  await writeGguf(copy, {
    metadata: new Map([...metadata, ["tokenizer.chat_template", named]]),
    tensors: tensors.map(({ name, type, shape, offset, sizeBytes }) => ({
      name,
      type,
      shape,
      data: { path, offset, sizeBytes },
    })),
  });
}
